/** Both voices as bars that meet in the middle: the user's to the left, the assistant's to the right. */

const BARS = 26;

export class Visualizer {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    const label = (name) => canvas.parentElement.querySelector(`.${name}`);
    this.labels = { user: label("user"), assistant: label("assistant") }; // whose colours the bars have
    this.data = new Uint8Array(512);
    this.levels = { user: new Float32Array(BARS), assistant: new Float32Array(BARS) };
  }

  /** @param {AnalyserNode | undefined} user @param {AnalyserNode | undefined} assistant */
  draw(user, assistant) {
    const { canvas, pen } = this;
    const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.side(user, "user", width, height, -1);
    this.side(assistant, "assistant", width, height, 1);
  }

  side(analyser, name, width, height, direction) {
    const levels = this.levels[name], step = width / 2 / (BARS + 0.5), thick = Math.max(2, step * 0.5);
    if (analyser) analyser.getByteFrequencyData(this.data);
    this.pen.fillStyle = getComputedStyle(this.labels[name]).color;
    for (let bar = 0; bar < BARS; bar++) {
      const aim = analyser ? this.band(bar, analyser.context.sampleRate) : 0;
      levels[bar] += (aim - levels[bar]) * (aim > levels[bar] ? 0.55 : 0.16);
      const tall = Math.max(thick, levels[bar] * height * 0.94);
      const x = width / 2 + direction * (bar + 0.75) * step;
      this.pen.globalAlpha = 0.35 + 0.65 * Math.min(1, levels[bar] * 1.6);
      this.pen.beginPath();
      this.pen.roundRect(x - thick / 2, (height - tall) / 2, thick, tall, thick / 2);
      this.pen.fill();
    }
    this.pen.globalAlpha = 1;
  }

  /** The level, 0 to 1, of a band between 80 and 7000 Hz; low ones are in the middle. */
  band(bar, rate) {
    const edge = (i) => Math.round((80 * (7000 / 80) ** (i / BARS)) / (rate / 2 / this.data.length));
    const first = edge(bar), last = Math.max(first + 1, edge(bar + 1));
    let sum = 0;
    for (let i = first; i < last; i++) sum += this.data[i];
    return (sum / (last - first) / 255) ** 1.4;
  }
}
