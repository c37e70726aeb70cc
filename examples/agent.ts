// Echoes every text. Fetches its work; with WEBHOOK_PORT set, gets it pushed by a webhook instead.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";

type Job = { jobId: string; content: { type: string; body?: string } | null };
type Claim = { job: Job; claimToken: string };

const URL = process.env.WORKER_URL ?? "http://127.0.0.1:8080";
const SECRET = process.env.AGENT_SECRET ?? ""; // or the webhook's secret, when work is pushed

const repliesTo = (job: Job) =>
  job.content?.type === "text"
    ? [{ content: { type: "text", body: `You said: ${job.content.body}` } }]
    : [];

async function call(path: string, body: object): Promise<Response> {
  const headers = { authorization: `Bearer ${SECRET}`, "content-type": "application/json" };
  return fetch(URL + path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function work() {
  const answer = await call("/v1/jobs/claim", { waitMs: 30000, processorId: "agent.ts" });
  if (!answer.ok) throw new Error(await answer.text());
  const { jobs } = (await answer.json()) as { jobs: Claim[] };
  for (const { job, claimToken } of jobs) {
    const path = `/v1/jobs/${job.jobId}`;
    const done = await call(`${path}/complete`, { claimToken, replies: repliesTo(job) });
    if (done.ok || done.status === 409) continue; // 409: the claim was lost, somebody else has it
    const reason = { errorReason: "agent_error", errorMessage: await done.text() };
    await call(`${path}/fail`, { claimToken, ...reason });
  }
}

// Standard Webhooks: who sent it knows the secret, and sent it a short while ago.
function verified(headers: IncomingHttpHeaders, body: Buffer): boolean {
  const [id, timestamp, given] = ["id", "timestamp", "signature"].map((n) => headers[`webhook-${n}`]);
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;
  const key = SECRET.startsWith("whsec_") ? Buffer.from(SECRET.slice(6), "base64") : SECRET;
  const ours = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  const tags = String(given).split(" ").map((one) => Buffer.from(one.replace(/^v1,/, ""), "base64"));
  return tags.some((tag) => tag.length === ours.length && timingSafeEqual(tag, ours));
}

if (process.env.WEBHOOK_PORT) {
  createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    if (!verified(request.headers, body)) return void response.writeHead(401).end();
    response.end(JSON.stringify({ replies: repliesTo(JSON.parse(body.toString()).data.job) }));
  }).listen(Number(process.env.WEBHOOK_PORT), "127.0.0.1");
} else {
  for (;;)
    await work().catch(async (error) => {
      console.log("retrying:", String(error));
      await new Promise((resume) => setTimeout(resume, 1000));
    });
}
