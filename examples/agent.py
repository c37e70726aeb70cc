#!/usr/bin/env python3
"""Echoes every text. Fetches its work; with WEBHOOK_PORT set, gets it pushed by a webhook instead."""
import base64, hashlib, hmac, json, os, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

URL = os.environ.get("WORKER_URL", "http://127.0.0.1:8080")
SECRET = os.environ["AGENT_SECRET"]  # or the webhook's secret, when work is pushed

def replies_to(job):
    content = job["content"] or {}
    if content.get("type") != "text":
        return []
    return [{"content": {"type": "text", "body": "You said: " + content["body"]}}]

def call(path, body):
    headers = {"Authorization": "Bearer " + SECRET, "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

def fetch():
    for claim in call("/v1/jobs/claim", {"waitMs": 30000, "processorId": "agent.py"})["jobs"]:
        path, token = "/v1/jobs/" + claim["job"]["jobId"], claim["claimToken"]
        try:
            call(path + "/complete", {"claimToken": token, "replies": replies_to(claim["job"])})
        except urllib.error.HTTPError as error:
            if error.code != 409:  # 409: the claim was lost, somebody else has the job
                reason = {"errorReason": "agent_error", "errorMessage": str(error)}
                call(path + "/fail", {"claimToken": token, **reason})

def verified(headers, body):
    """Standard Webhooks: who sent it knows the secret, and sent it a short while ago."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    key = base64.b64decode(SECRET[6:]) if SECRET.startswith("whsec_") else SECRET.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    ours = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers["webhook-signature"].encode().split(b" ")
    return any(hmac.compare_digest(ours, one) for one in given)

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        good = verified(self.headers, body)
        self.send_response(200 if good else 401)
        self.end_headers()
        if good:
            answer = {"replies": replies_to(json.loads(body)["data"]["job"])}
            self.wfile.write(json.dumps(answer).encode())

if "WEBHOOK_PORT" in os.environ:
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["WEBHOOK_PORT"])), Receiver).serve_forever()
while True:
    try:
        fetch()
    except OSError as error:
        print("retrying:", error, flush=True)
        time.sleep(1)
