// One Baileys client: an ordinary linked companion of a phone, against any server.
//
// Emits: 'qr' (text), 'open' ({jid, lid}), 'closed' ({status}), 'message' (see `describe`),
// 'receipt' ({id, chat, status}), 'presence' ({chat, state}). Reconnects by itself after a 515, as every client must.
import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import makeWASocket, {
  DisconnectReason,
  downloadMediaMessage,
  extractMessageContent,
  getContentType,
} from 'baileys'
import { memoryAuth } from './memory-auth.mjs'

const level = process.env.BAILEYS_LOG ?? 'silent'
const ranks = ['trace', 'debug', 'info', 'warn', 'error', 'silent']
const logger = { level, child: () => logger }
for (const name of ranks.slice(0, 5)) {
  logger[name] = (...args) => {
    if (ranks.indexOf(name) >= ranks.indexOf(level)) console.error(name, ...args)
  }
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

export class Companion extends EventEmitter {
  constructor(url, auth = memoryAuth()) {
    super()
    this.url = url
    this.auth = auth
    this.sent = new Map()
  }

  connect() {
    this.socket = makeWASocket({
      waWebSocketUrl: this.url,
      auth: this.auth,
      logger,
      markOnlineOnConnect: false,
      getMessage: async (key) => this.sent.get(key.id),
    })
    const events = this.socket.ev
    if (this.auth.save) events.on('creds.update', () => this.auth.save())
    events.on('connection.update', (update) => this.#connection(update))
    events.on('messages.upsert', async ({ messages }) => {
      for (const message of messages) {
        if (!message.message) continue
        const { key, status } = message
        this.emit('message', await this.describe(message))
        // A receipt that overtakes the event of its own message is folded into that message.
        if (key.fromMe && status) this.emit('receipt', { id: key.id, chat: key.remoteJid, status })
      }
    })
    events.on('messages.update', (updates) => {
      for (const { key, update } of updates) {
        const edited = update.message?.editedMessage?.message
        if (edited) this.emit('edit', { target: key.id, chat: key.remoteJid, text: textOf(edited) })
        if (update.status) this.emit('receipt', { id: key.id, chat: key.remoteJid, status: update.status })
      }
    })
    events.on('presence.update', ({ id, presences }) => {
      for (const presence of Object.values(presences)) {
        this.emit('presence', { chat: id, state: presence.lastKnownPresence })
      }
    })
    events.on('message-receipt.update', (updates) => {
      for (const { key, receipt } of updates) {
        this.emit('receipt', { id: key.id, chat: key.remoteJid, from: receipt.userJid, status: 'user' })
      }
    })
  }

  #connection({ connection, qr, lastDisconnect }) {
    if (qr) this.emit('qr', qr)
    if (connection === 'open') this.emit('open', this.me())
    if (connection === 'close') {
      const status = lastDisconnect?.error?.output?.statusCode
      if (status === DisconnectReason.restartRequired) this.connect()
      else this.emit('closed', { status, error: lastDisconnect?.error?.message })
    }
  }

  me() {
    const { id, lid } = this.auth.creds.me ?? {}
    return { jid: id, lid }
  }

  /**
   * Asks for an 8-character code; the socket must have shown its first QR code. Baileys returns the
   * code before the server knows of it, so this waits for the server's answer too.
   */
  async linkCode(phone) {
    const answered = once(this.socket.ws, 'CB:iq,,link_code_companion_reg')
    const code = await this.socket.requestPairingCode(phone)
    await answered
    return code
  }

  async send(to, content) {
    const message = await this.socket.sendMessage(to, content)
    this.sent.set(message.key.id, message.message)
    return message.key
  }

  sendText(to, text) {
    return this.send(to, { text })
  }

  /** An empty thumbnail keeps Baileys from looking for an image library. */
  sendImage(to, image, caption) {
    return this.send(to, { image, caption, mimetype: 'image/png', jpegThumbnail: '' })
  }

  edit(to, key, text) {
    return this.send(to, { text, edit: key })
  }

  async describe(message) {
    const { key } = message
    const content = extractMessageContent(message.message)
    const kind = getContentType(content)
    const described = {
      id: key.id,
      chat: key.remoteJid,
      alternative: key.remoteJidAlt,
      author: key.participant ?? key.remoteJid,
      own: key.fromMe === true,
      kind,
      text: textOf(content),
    }
    described.details = details(content, kind)
    const edited = content?.protocolMessage?.editedMessage
    if (edited) {
      described.target = content.protocolMessage.key?.id
      described.text = textOf(edited)
    }
    if (content?.[kind]?.mediaKey) {
      try {
        const bytes = await downloadMediaMessage(message, 'buffer', {})
        described.media = { sha256: sha256(bytes), length: bytes.length }
      } catch (error) {
        described.media = { error: String(error?.message ?? error) }
      }
    }
    return described
  }

  close() {
    this.socket?.ev.removeAllListeners('connection.update')
    this.socket?.end(undefined)
  }
}

/** What a person sees of a message beside its words. */
function details(content, kind) {
  const part = content?.[kind]
  if (!part || typeof part === 'string') return {}
  const context = part.contextInfo
  return {
    mimetype: part.mimetype ?? undefined,
    fileName: part.fileName ?? undefined,
    voice: part.ptt ?? undefined,
    seconds: part.seconds ?? undefined,
    latitude: part.degreesLatitude ?? undefined,
    longitude: part.degreesLongitude ?? undefined,
    name: part.name ?? part.displayName ?? undefined,
    vcard: part.vcard ?? undefined,
    options: part.options?.map((option) => option.optionName),
    emoji: kind === 'reactionMessage' ? part.text : undefined,
    target: part.key?.id ?? undefined,
    type: part.type ?? undefined,
    quoted: context?.stanzaId ?? undefined,
    quotedText: context?.quotedMessage?.conversation ?? undefined,
    mentions: context?.mentionedJid?.length ? context.mentionedJid : undefined,
  }
}

function textOf(content) {
  return (
    content?.conversation ??
    content?.extendedTextMessage?.text ??
    content?.imageMessage?.caption ??
    content?.videoMessage?.caption ??
    content?.documentMessage?.caption ??
    undefined
  )
}
