/** What opens the server and its providers: an address, a token, keys. In memory alone. */

export const access = {
  /** {access_key, secret_key, session_token, region}, or null */
  keys: null,
  /** The server's secret, as the user typed it. */
  secret: "",

  /** Where the socket is; asks for a fresh token when there is a secret. */
  async address() {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const given = new URLSearchParams(location.search).get("token");
    url.search = url.hash = "";
    const token = this.secret ? await this.token() : given;
    if (token) url.searchParams.set("token", token);
    return url;
  },

  async token() {
    const answer = await fetch("api/token", { method: "POST", headers: { Authorization: `Bearer ${this.secret}` } });
    if (!answer.ok) throw Object.assign(new Error("The server does not take this password."), { code: "unauthorized" });
    return (await answer.json()).token;
  },
};
