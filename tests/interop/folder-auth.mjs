// The auth state of a Baileys client in a folder, as most Baileys programs keep it.
import { useMultiFileAuthState } from 'baileys'

export async function folderAuth(folder) {
  const { state, saveCreds } = await useMultiFileAuthState(folder)
  const writing = new Set()
  const tracked = (write) => {
    writing.add(write)
    return write.finally(() => writing.delete(write))
  }
  return {
    creds: state.creds,
    keys: { get: state.keys.get, set: (data) => tracked(state.keys.set(data)) },
    save: () => tracked(saveCreds()),
    /** Resolves when nothing is being written any more. */
    async written() {
      while (writing.size > 0) await Promise.all(writing)
    },
  }
}
