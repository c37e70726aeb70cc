// The simulator's HTTP control.
export class Control {
  constructor(base) {
    this.base = base
  }

  async #call(method, path, body) {
    const response = await fetch(this.base + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }

  get(path) {
    return this.#call('GET', path)
  }

  post(path, body) {
    return this.#call('POST', path, body ?? {})
  }
}
