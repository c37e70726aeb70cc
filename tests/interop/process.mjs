// Child processes that talk JSON lines: the simulator and the Baileys clients.
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Control } from './control.mjs'

/** Resolves with the first event `name` that `accept` takes; rejects after `seconds`. */
export function next(emitter, name, accept = () => true, seconds = 30) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.off(name, listen)
      reject(new Error(`no '${name}' within ${seconds} s`))
    }, seconds * 1000)
    function listen(value) {
      if (!accept(value)) return
      clearTimeout(timer)
      emitter.off(name, listen)
      resolve(value)
    }
    emitter.on(name, listen)
  })
}

class LineProcess extends EventEmitter {
  constructor(command, args, env) {
    super()
    this.child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.child.on('error', (error) => this.emit('failed', error))
    createInterface({ input: this.child.stdout }).on('line', (line) => this.line(JSON.parse(line)))
  }

  /** Closes its standard input, which ends it, and waits. */
  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.stdin.end()
    await once(this.child, 'exit')
  }
}

/** `SIMULATOR` names the program; it prints {"control": URL} and ends with its input. */
export class Simulator extends LineProcess {
  static async start(folder) {
    const program = process.env.SIMULATOR
    if (!program) throw new Error('SIMULATOR must name the simulator program')
    const simulator = new Simulator(program, [])
    const { control } = await next(simulator, 'line')
    simulator.control = new Control(control)
    const { url, ca_pem: pem } = await simulator.control.get('/')
    simulator.url = url
    simulator.caFile = join(folder, 'media-ca.pem')
    await writeFile(simulator.caFile, pem)
    return simulator
  }

  line(object) {
    this.emit('line', object)
  }
}

/** A Baileys client in a process of its own; keeps every event, so none is missed. */
export class Client extends LineProcess {
  events = []
  #seq = 0

  static start(simulator) {
    const script = fileURLToPath(new URL('client.mjs', import.meta.url))
    const env = { NODE_EXTRA_CA_CERTS: simulator.caFile }
    return new Client(process.execPath, [script, simulator.url], env)
  }

  line(object) {
    if (!object.event) return void this.emit('answer', object)
    this.events.push(object)
    this.emit('event', object)
  }

  async do(name, fields = {}) {
    const seq = ++this.#seq
    const answer = next(this, 'answer', (candidate) => candidate.seq === seq, 60)
    this.child.stdin.write(`${JSON.stringify({ seq, do: name, ...fields })}\n`)
    const { ok, error, ...rest } = await answer
    if (!ok) throw new Error(`${name}: ${error}`)
    return rest
  }

  /** The first event, past or future, that `accept` takes. */
  async sees(event, accept = () => true, seconds = 30) {
    const wanted = (candidate) => candidate.event === event && accept(candidate)
    const past = this.events.find(wanted)
    return past ?? next(this, 'event', wanted, seconds)
  }

  count(event, accept = () => true) {
    return this.events.filter((seen) => seen.event === event && accept(seen)).length
  }
}
