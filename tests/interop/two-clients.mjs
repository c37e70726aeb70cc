// Two Baileys clients and a simulated phone talk through the simulator: it is honest only if
// clients that nobody here wrote accept it.
//
//   SIMULATOR=path/to/program node two-clients.mjs
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Control } from './control.mjs'
import { Client, Simulator } from './process.mjs'

let folder, simulator, control, a, b, alice, bob, carol

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'interop-'))
  simulator = await Simulator.start(folder)
  control = simulator.control
  alice = await control.post('/people', { name: 'Alice' })
  bob = await control.post('/people', { name: 'Bob' })
  carol = await control.post('/people', { name: 'Carol' })
  a = Client.start(simulator)
  b = Client.start(simulator)
})

after(async () => {
  await Promise.all([a?.stop(), b?.stop()])
  await simulator?.stop()
  await rm(folder, { recursive: true, force: true })
})

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
const user = (jid) => jid.split('@')[0].split(':')[0]

/** What reached a person's phone under this id. */
async function reaches(person, id) {
  const path = `/people/${person.phone}/received?id=${id}&wait_ms=20000`
  const [delivery] = await control.get(path)
  assert.ok(delivery, `message ${id} did not reach the phone`)
  return delivery.message
}

async function phoneSends(person, to, content) {
  const { id } = await control.post(`/people/${person.phone}/send`, { to, content })
  return id
}

test('a client links by QR code', async () => {
  await a.do('connect')
  const { qr } = await a.sees('qr')
  await control.post(`/people/${alice.phone}/scan`, { qr })
  const { jid, lid } = await a.sees('open')
  assert.equal(user(jid), user(alice.jid))
  assert.equal(user(lid), user(alice.lid))
})

test('a client links by code', async () => {
  await b.do('connect')
  await b.sees('qr')
  const { code } = await b.do('link_code', { phone: bob.phone })
  await control.post(`/people/${bob.phone}/code`, { code })
  const { jid } = await b.sees('open')
  assert.equal(user(jid), user(bob.jid))
})

test('text goes both ways and is receipted', async () => {
  const { id } = await a.do('send_text', { to: bob.jid, text: 'hello Bob' })
  const got = await b.sees('message', (message) => message.id === id)
  assert.deepEqual([got.text, got.own], ['hello Bob', false])
  assert.equal((await reaches(bob, id)).text, 'hello Bob')
  const receipt = await a.sees('receipt', (seen) => seen.id === id && seen.status >= 3)
  assert.equal(receipt.id, id)

  const answer = await b.do('send_text', { to: alice.jid, text: 'hello Alice' })
  const back = await a.sees('message', (message) => message.id === answer.id)
  assert.equal(back.text, 'hello Alice')
})

test('a phone writes to a client and reads its answer', async () => {
  const id = await phoneSends(carol, alice.jid, { kind: 'text', text: 'from a phone' })
  const got = await a.sees('message', (message) => message.id === id)
  assert.equal(got.text, 'from a phone')
  const answer = await a.do('send_text', { to: got.chat, text: 'from a client' })
  assert.equal((await reaches(carol, answer.id)).text, 'from a client')
})

test('an image arrives as it was sent', async () => {
  const image = randomBytes(50_000)
  const sent = await a.do('send_image', {
    to: bob.jid,
    base64: image.toString('base64'),
    caption: 'look',
  })
  const got = await b.sees('message', (message) => message.id === sent.id)
  assert.deepEqual([got.text, got.media], ['look', { sha256: sha256(image), length: 50_000 }])
  assert.equal((await reaches(bob, sent.id)).media.sha256, sha256(image))

  const id = await phoneSends(carol, bob.jid, {
    kind: 'media',
    media: 'image',
    mime_type: 'image/png',
    base64: image.toString('base64'),
    caption: 'mine',
  })
  const other = await b.sees('message', (message) => message.id === id)
  assert.deepEqual([other.text, other.media], ['mine', { sha256: sha256(image), length: 50_000 }])
})

test('a group talks', async () => {
  const { jid } = await control.post('/groups', {
    subject: 'Team',
    creator: alice.phone,
    members: [bob.phone, carol.phone],
  })
  const from = (client) => async (text) => (await client.do('send_text', { to: jid, text })).id
  const turns = [
    [from(a), 'a one', [b]],
    [from(b), 'b one', [a]],
    [(text) => phoneSends(carol, jid, { kind: 'text', text }), 'carol one', [a, b]],
    [from(a), 'a two', [b]],
  ]
  for (const [send, text, readers] of turns) {
    const id = await send(text)
    for (const reader of readers) {
      const got = await reader.sees('message', (message) => message.id === id)
      assert.deepEqual([got.text, got.chat], [text, jid])
    }
    if (!text.startsWith('carol')) assert.equal((await reaches(carol, id)).text, text)
  }
})

test('an edit reaches the other side', async () => {
  const { id } = await a.do('send_text', { to: bob.jid, text: 'first' })
  await b.sees('message', (message) => message.id === id)
  const sent = await a.do('edit', { to: bob.jid, id, text: 'second' })
  const edit = await reaches(bob, sent.id)
  assert.deepEqual([edit.target, edit.text], [id, 'second'])
})

test('a burst arrives whole and in order', async () => {
  const { ids } = await a.do('send_burst', { to: bob.jid, prefix: 'burst ', count: 100 })
  await b.sees('message', (message) => message.id === ids.at(-1))
  const seen = b.events.filter(({ event, id }) => event === 'message' && ids.includes(id))
  assert.deepEqual(seen.map(({ id }) => id), ids)
})

test('nothing was violated or unknown', async () => {
  assert.deepEqual(await control.get('/lint'), [])
  assert.deepEqual(await control.get('/unknown-iqs'), {})
})
