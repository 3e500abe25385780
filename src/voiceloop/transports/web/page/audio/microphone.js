/** The user's side: the microphone, its level, and its frames. Starting and stopping it is apart from the connection. */

export class Microphone extends EventTarget {
  /** @param {AudioContext} context @param {number} rate that the server wants, Hz */
  constructor(context, rate) {
    super();
    this.context = context;
    this.stream = null;
    this.source = null;
    this.gain = new GainNode(context);
    this.analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0.75 });
    this.capture = new AudioWorkletNode(context, "capture", {
      outputChannelCount: [1], processorOptions: { rate, frameMs: 20 },
    });
    this.capture.connect(context.destination); // it is silent; some browsers run only what leads to the end
    this.gain.connect(this.analyser);
    this.gain.connect(this.capture);
    this.capture.port.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("frame", { detail: data }));
  }

  get recording() { return this.stream !== null; }

  /** Whether the browser takes the assistant's voice out of the recording; null when it does not tell. */
  get cancelsEcho() { return this.stream?.getAudioTracks()[0]?.getSettings().echoCancellation ?? null; }

  /** Ask for the microphone. Throws the browser's DOMException when it is refused or missing. */
  async start(device) {
    if (!navigator.mediaDevices) throw new DOMException("no secure context", "SecurityError");
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1,
        ...(device && { deviceId: { exact: device } }),
      },
    });
    this.stop();
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.gain);
    stream.getAudioTracks()[0].onended = () => {
      this.stop();
      this.dispatchEvent(new Event("lost"));
    };
  }

  /** Let the microphone go; the browser's sign that it records goes out. */
  stop() {
    this.source?.disconnect();
    this.stream?.getTracks().forEach((track) => {
      track.onended = null;
      track.stop();
    });
    this.stream = this.source = null;
  }

  /** Whether frames are sent on, while the microphone stays open: push-to-talk. */
  open(open) { this.capture.port.postMessage({ open }); }

  setLevel(level) { this.gain.gain.setTargetAtTime(level, this.context.currentTime, 0.02); }

  close() {
    this.stop();
    this.capture.port.onmessage = null;
    this.gain.disconnect();
    this.capture.disconnect();
  }
}

/** What to tell the user, by the name of the exception. */
export function whyNoMicrophone(error) {
  const reasons = {
    NotAllowedError: "The microphone was refused. Allow it for this page in the browser's address bar, then press Record.",
    NotFoundError: "No microphone was found. Plug one in, then press Record.",
    OverconstrainedError: "The chosen microphone is not there. Choose another one in the settings.",
    NotReadableError: "Another program holds the microphone. Close it, then press Record.",
    SecurityError: "Browsers give the microphone only to secure pages: open this one by https, or as localhost.",
  };
  return reasons[error.name] ?? `The microphone did not start (${error.name}).`;
}
