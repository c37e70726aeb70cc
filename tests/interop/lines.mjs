// JSON lines: commands on standard input, answers and events on standard output.
import { createInterface } from 'node:readline'

const write = process.stdout.write.bind(process.stdout)

export const say = (object) => write(`${JSON.stringify(object)}\n`)

/** Answers each {"seq", "do", ...} by {"seq", "ok", ...}. Standard input's end is the command `quit`. */
export function serve(actions) {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    let seq
    try {
      const command = JSON.parse(line)
      seq = command.seq
      const action = Object.hasOwn(actions, command.do) ? actions[command.do] : undefined
      if (!action) throw new Error(`unknown command ${command.do}`)
      say({ seq, ok: true, ...(await action(command)) })
    } catch (error) {
      say({ seq, ok: false, error: String(error?.message ?? error) })
    }
  })
  lines.on('close', () => actions.quit())
}
