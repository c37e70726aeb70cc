// The auth state of a Baileys client, in memory: a test client links anew each time.
import { BufferJSON, initAuthCreds, proto } from 'baileys'

const copy = (value) => JSON.parse(JSON.stringify(value, BufferJSON.replacer), BufferJSON.reviver)

export function memoryAuth() {
  const kept = new Map()
  return {
    creds: initAuthCreds(),
    keys: {
      async get(type, ids) {
        const found = {}
        for (const id of ids) {
          const text = kept.get(`${type} ${id}`)
          if (text === undefined) continue
          const value = JSON.parse(text, BufferJSON.reviver)
          found[id] =
            type === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value
        }
        return found
      },
      async set(data) {
        for (const [type, entries] of Object.entries(data)) {
          for (const [id, value] of Object.entries(entries)) {
            if (value) kept.set(`${type} ${id}`, JSON.stringify(copy(value), BufferJSON.replacer))
            else kept.delete(`${type} ${id}`)
          }
        }
      },
    },
  }
}
