// A Baileys client driven by JSON lines, so that tests in another language can use it.
//
//   node client.mjs ws://127.0.0.1:PORT/ws/chat [FOLDER]
//
// The auth state is kept in FOLDER, as useMultiFileAuthState writes it; without, in memory.
//
// Commands on standard input, one object a line, answered by {"seq", "ok", ...}:
//   {"seq":1,"do":"connect"}
//   {"seq":2,"do":"link_code","phone":"15550001"}                      → {"code"}
//   {"seq":3,"do":"send_text","to":JID,"text":T}                       → {"id"}
//   {"seq":4,"do":"send_burst","to":JID,"prefix":T,"count":N}          → {"ids"}
//   {"seq":5,"do":"send_image","to":JID,"base64":B,"caption":T}        → {"id","sha256"}
//   {"seq":6,"do":"edit","to":JID,"id":ID,"text":T}                    → {"id"}
//   {"seq":7,"do":"disconnect"}      as if the network went; "connect" comes back
//   {"seq":8,"do":"quit"}
// Events on standard output: {"event":"qr"|"open"|"closed"|"message"|"edit"|"receipt"|"presence", ...}.
// Standard input's end quits, so a client never outlives the test that started it. TLS trust for
// media comes from NODE_EXTRA_CA_CERTS.
import { Companion, sha256 } from './companion.mjs'
import { folderAuth } from './folder-auth.mjs'
import { say, serve } from './lines.mjs'

const [url, folder] = process.argv.slice(2)
if (!url) {
  console.error('usage: node client.mjs WEBSOCKET_URL [FOLDER]')
  process.exit(64)
}
// Libraries print sessions with their keys; standard output is the protocol's alone.
console.log = console.info = console.warn = process.env.BAILEYS_LOG ? console.error : () => {}

const auth = folder ? await folderAuth(folder) : undefined
const companion = new Companion(url, auth)
companion.on('qr', (qr) => say({ event: 'qr', qr }))
for (const event of ['open', 'closed', 'message', 'edit', 'receipt', 'presence']) {
  companion.on(event, (value) => say({ event, ...value }))
}

const actions = {
  connect: () => companion.connect(),
  link_code: async ({ phone }) => ({ code: await companion.linkCode(phone) }),
  send_text: async ({ to, text }) => ({ id: (await companion.sendText(to, text)).id }),
  async send_burst({ to, prefix, count }) {
    const ids = []
    for (let number = 0; number < count; number++) {
      ids.push((await companion.sendText(to, `${prefix}${number}`)).id)
    }
    return { ids }
  },
  async send_image({ to, base64, caption }) {
    const image = Buffer.from(base64, 'base64')
    const { id } = await companion.sendImage(to, image, caption)
    return { id, sha256: sha256(image) }
  },
  async edit({ to, id, text }) {
    const key = { remoteJid: to, fromMe: true, id }
    return { id: (await companion.edit(to, key, text)).id }
  },
  disconnect: () => companion.close(),
  async quit() {
    companion.close()
    await auth?.written()
    process.exitCode = 0
    setImmediate(() => process.exit())
  },
}

serve(actions)
