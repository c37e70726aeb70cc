//! What operators do, in the model and in the store.

use whatsapp_worker::ids::JobId;
use whatsapp_worker::store::{JobSelection, Outcome};

use super::World;

impl World<'_> {
    pub(super) async fn retry(&mut self, n: usize) {
        let Some(job) = self.any_job(n) else { return };
        let done = self
            .bench
            .store
            .retry_job(&job, "o")
            .await
            .expect("answers");
        let dead = self.jobs[&job].dead;
        let lane = self.lane_of(&job);
        let was_active = lane
            .active
            .as_ref()
            .is_some_and(|(active, _)| *active == job);
        let place = lane.queue.iter().position(|queued| *queued == job);
        assert_eq!(done == Outcome::Done, dead || was_active || place.is_some());
        if was_active {
            (lane.active, lane.stale) = (None, false);
            lane.queue.push_front(job.clone());
        } else if place == Some(0) && lane.active.is_none() {
            lane.waits = false;
        } else if dead {
            lane.queue.push_back(job.clone());
        }
        if done == Outcome::Done {
            let known = self.jobs.get_mut(&job).expect("known");
            (known.attempts, known.dead) = (0, false);
        }
    }

    pub(super) async fn replay_all(&mut self) {
        let mut dead: Vec<JobId> = Vec::new();
        // In the order of their lanes, which the store knows.
        for job in self.bench.jobs().await {
            if job.dead {
                dead.push(job.job_id);
            }
        }
        let known = self.jobs.values().filter(|job| job.dead).count();
        assert_eq!(dead.len(), known);
        let order = "SELECT job_id FROM jobs ORDER BY conv, ord, turn";
        let order: Vec<String> = sqlx::query_scalar(order)
            .fetch_all(&mut self.eye)
            .await
            .expect("reads");
        dead.sort_by_key(|job| order.iter().position(|id| id == job.as_str()));
        let done = self.bench.store.retry_jobs(&JobSelection::All, "o").await;
        assert_eq!(done.expect("answers"), dead.len() as u64);
        for job in dead {
            self.lane_of(&job).queue.push_back(job.clone());
            let known = self.jobs.get_mut(&job).expect("known");
            (known.attempts, known.dead) = (0, false);
        }
    }

    pub(super) async fn end(&mut self, n: usize, dead: bool) {
        let Some(job) = self.any_job(n) else { return };
        let store = &self.bench.store;
        let done = if dead {
            store.fail_job_by_hand(&job, ("by_hand", None), "o").await
        } else {
            store.cancel_job(&job, "o").await
        };
        let done = done.expect("answers") == Outcome::Done;
        let lane = self.lane_of(&job);
        let was_active = lane
            .active
            .as_ref()
            .is_some_and(|(active, _)| *active == job);
        let place = lane.queue.iter().position(|queued| *queued == job);
        assert_eq!(done, was_active || place.is_some());
        if was_active {
            (lane.active, lane.stale) = (None, false);
        } else if let Some(place) = place {
            lane.queue.remove(place);
            if place == 0 && lane.active.is_none() {
                lane.waits = false;
            }
        }
        if done {
            let known = self.jobs.get_mut(&job).expect("known");
            (known.dead, known.over) = (dead, !dead);
        }
    }

    pub(super) async fn discard(&mut self, n: usize) {
        let Some(job) = self.any_job(n) else { return };
        let done = self
            .bench
            .store
            .discard_job(&job, "o")
            .await
            .expect("answers");
        let known = self.jobs.get_mut(&job).expect("known");
        assert_eq!(done == Outcome::Done, known.dead);
        if known.dead {
            (known.dead, known.over) = (false, true);
        }
    }
}
