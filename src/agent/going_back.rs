//! Going back: what is in the way of it is found before anything is written, and what is decided is
//! told before anything is written.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::application::Application;
use crate::api::{Policy, RevisionId};
use crate::cluster::Identity;
use crate::desired::{Desired, DesiredObject};
use crate::diff::{Change, diff};
use crate::error::Class;
use crate::object::{ObjectId, keys};
use crate::plan::{Gate, plan};
use crate::rollback::{self, Cause};
use crate::status::Problem;

/// How often it is tried whether going back has become possible.
const HINDERED_RECHECK: Duration = Duration::from_secs(60);

/// Why a revision could not be gone back from.
pub(super) struct Hindrance {
    digest: String,
    /// What a person had approved then.
    approval: Option<String>,
    found: Instant,
    why: String,
}

impl Application {
    /// Puts the revision into quarantine, if the one before can be gone back to. Returns whether it
    /// was.
    pub(super) async fn go_back(
        &mut self,
        cause: &Cause,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> bool {
        let Some(goal) = &self.goal else { return false };
        let bad = goal.id();
        let desired = Arc::clone(&goal.desired);
        if let Some(why) = self.hindrance(&bad, &desired, policy, who, now).await {
            self.timers.trial = Some(Instant::now() + HINDERED_RECHECK);
            self.hold("RollbackBlocked", cause, &why);
            return false;
        }
        let breaker = self.shared.breaker.lock();
        let admitted = breaker.unwrap_or_else(PoisonError::into_inner).admit(now);
        if let Err(until) = admitted {
            self.look_again(Some(until), now);
            let why = "three revisions were rolled back in the last ten minutes, which looks like an \
                       outage of something else";
            self.hold("RollbackHeld", cause, why);
            return false;
        }
        tracing::warn!(
            application = self.owner.name,
            revision = bad.revision,
            reason = cause.reason,
            "rolls back: {}",
            cause.message
        );
        self.shared.metrics.rollback(&cause.reason);
        // Who has it tried again wants it looked at again.
        self.preflighted = None;
        rollback::take_back(&mut self.rollback, &bad, cause, now);
        self.remember_rolled_back(&bad, cause);
        let good = self.good.as_ref().map(|good| good.id.revision.clone());
        self.court.note = Some(self.told(good.as_deref()));
        // Before the first write: whoever goes on after a crash knows it.
        let request = self.request();
        self.publish(&request, true).await;
        true
    }

    fn hold(&mut self, reason: &str, cause: &Cause, why: &str) {
        self.court.note = Some(Problem {
            reason: reason.into(),
            message: format!("{cause}; not rolled back: {why}"),
            class: Class::Stalled,
        });
    }

    /// Why it cannot be gone back from `bad`, found out before anything is written; `None` when it
    /// can.
    async fn hindrance(
        &mut self,
        bad: &RevisionId,
        desired: &Desired,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> Option<String> {
        let Some(good) = &self.good else {
            return Some("the objects of the revision before are not known any more".into());
        };
        let approval = self.requests.borrow().approve.clone();
        if let Some(known) = &self.court.hindered
            && known.digest == bad.digest
            && known.approval == approval
            && known.found.elapsed() < HINDERED_RECHECK
        {
            return Some(known.why.clone());
        }
        let good = Arc::clone(&good.desired);
        let why = match self.irrevocable(desired, &good) {
            Some(why) => Some(why),
            None => self.refusal_to_go_back(&good, policy, who, now).await,
        };
        self.court.hindered = why.clone().map(|why| Hindrance {
            digest: bad.digest.clone(),
            approval,
            found: Instant::now(),
            why,
        });
        why
    }

    /// What was written of a revision and is marked as not revertible.
    fn irrevocable(&self, desired: &Desired, good: &Desired) -> Option<String> {
        let is_marked =
            |object: &DesiredObject| object.object().annotation(keys::ROLLBACK) == Some("disabled");
        let is_written =
            |id: &ObjectId| self.inventory.as_ref().is_some_and(|i| i.get(id).is_some());
        let objects = desired.objects.iter().filter(|(id, object)| {
            let before = good.objects.get(*id);
            before.is_none_or(|before| before.hash != object.hash)
        });
        let hooks = desired.hooks.iter().map(|(id, hook)| (id, &hook.object));
        let mut all = objects.chain(hooks);
        let (id, object) = all.find(|(id, object)| is_written(id) && is_marked(object))?;
        Some(format!(
            "{}: {id} is marked as not revertible ({}: disabled)",
            object.place,
            keys::ROLLBACK
        ))
    }

    /// What the prune guard or the API server would refuse.
    async fn refusal_to_go_back(
        &self,
        good: &Arc<Desired>,
        policy: &Policy,
        who: &Identity,
        now: i64,
    ) -> Option<String> {
        let inventory = self.inventory.as_ref()?;
        let approval = self.requests.borrow().approve.clone();
        let gate = Gate {
            update: true,
            heal: false,
            asked: false,
            prune: policy.prune,
            approved: approval.as_deref(),
            now,
            failed: false,
            degraded: false,
            immutable: &self.immutable,
        };
        let mut differences = diff(good, &self.live, inventory, &self.enforced, policy);
        super::sync::spare(&mut differences, &self.shared.options.installation());
        let back = plan(&differences, good, &self.live, inventory, policy, gate);
        if let Some(held) = &back.report.held {
            return Some(held.to_string());
        }
        let written = differences
            .iter()
            .filter(|(_, change)| matches!(change, Change::Create | Change::Update))
            .filter_map(|(id, _)| good.objects.get(id));
        let mut refusals = self.refusals(written, who).await.into_iter();
        refusals.next().map(|(_, problem)| problem.message)
    }
}
