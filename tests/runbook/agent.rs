//! An agent beside a worker that operates an account and serves its queue.

use serde_json::{Value, json};
use simulator::Person;
use simulator::people::Content;
use whatsapp_worker::rehearsal::Worker;

use crate::agents::{Answer, SECRET, SERVING, listening};
use crate::theatre::{PATIENCE, Theatre};

/// A worker with its agent, and customers who write.
pub struct Shop {
    pub theatre: Theatre,
    pub worker: Worker,
    pub agent: Agent,
}

impl Shop {
    pub async fn open(settings: &[(&str, &str)]) -> Self {
        let theatre = Theatre::with_settings(&[&SERVING, settings].concat()).await;
        let worker = theatre.linked_worker("one").await;
        let agent = Agent::of(&worker).await;
        Self {
            theatre,
            worker,
            agent,
        }
    }

    /// Somebody new writes; the job of it.
    pub async fn asks(&self, name: &str) -> String {
        let person = self.theatre.sim.add_person(name);
        self.job_of(&self.write(&person, "hello")).await
    }

    pub fn write(&self, person: &Person, text: &str) -> String {
        let text = Content::Text(text.to_owned());
        let sent = person.send(&self.theatre.shop.jid(), &text);
        sent.expect("the server accepts it")
    }

    /// The job of a message.
    pub async fn job_of(&self, message: &str) -> String {
        let jobs = self.theatre.jobs_of(&[message.to_owned()]).await;
        let job = jobs.iter().find(|job| job.channel_message_id == message);
        job.expect("it has one").job_id.as_str().to_owned()
    }
}

/// Whoever works on jobs over HTTP.
pub struct Agent {
    pub base: String,
    client: reqwest::Client,
}

/// What an agent has taken.
pub struct Claim {
    pub job: String,
    pub token: Value,
}

impl Agent {
    pub async fn of(worker: &Worker) -> Self {
        Self {
            base: listening(worker).await,
            client: reqwest::Client::new(),
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.bearer_auth(SECRET).body(body.to_string());
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Takes the next job for `lock_ms`, if one can be had now.
    pub async fn claim(&self, lock_ms: u64) -> Option<Claim> {
        let body = json!({"processorId": "agent-1", "lockMs": lock_ms});
        let answer = self.post("/v1/jobs/claim", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let claim = answer.body["jobs"].get(0)?;
        Some(Claim {
            job: claim["job"]["jobId"].as_str().expect("an id").to_owned(),
            token: claim["claimToken"].clone(),
        })
    }

    /// Waits for the next job, and takes it.
    pub async fn work(&self) -> Claim {
        let waiting = async {
            loop {
                let body = json!({"waitMs": 10_000, "limit": 1});
                let answer = self.post("/v1/jobs/claim", body).await;
                if let Some(claim) = answer.body["jobs"].get(0) {
                    return Claim {
                        job: claim["job"]["jobId"].as_str().expect("an id").to_owned(),
                        token: claim["claimToken"].clone(),
                    };
                }
            }
        };
        let claim = tokio::time::timeout(PATIENCE, waiting).await;
        claim.expect("there is work")
    }

    pub async fn complete(&self, claim: &Claim) -> u16 {
        let path = format!("/v1/jobs/{}/complete", claim.job);
        self.post(&path, json!({"claimToken": claim.token}))
            .await
            .status
    }

    /// Gives the job up for good.
    pub async fn fail(&self, claim: &Claim, reason: &str) {
        let path = format!("/v1/jobs/{}/fail", claim.job);
        let body = json!({"claimToken": claim.token, "errorReason": reason,
            "errorMessage": "no idea", "retryable": false});
        assert_eq!(self.post(&path, body).await.status, 200);
    }
}

/// Fits the lines that tell of `job`.
pub fn of_job(job: &str) -> impl Fn(&Value) -> bool {
    move |line| line["jobId"] == job
}
