//! A pass while no revision could be rendered since the start: what was accepted is healed, and
//! nothing else is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::application::Application;
use super::sync::End;
use crate::api::Policy;
use crate::cluster::Identity;
use crate::desired::Desired;
use crate::diff::drifted;
use crate::plan::{Plan, Report, heal};

impl Application {
    /// Puts back what differs from what is enforced. `now` is in seconds since the epoch.
    pub(super) async fn enforce(&mut self, policy: &Policy, who: &Identity, now: i64) -> End {
        if self.enforced.is_empty() {
            return End::Settled;
        }
        let told = self.problems.len();
        let plan = self.plan_heal(policy);
        // What is declared now is not known: nothing but healing can be planned.
        let declared = Arc::new(Desired::default());
        let complete = self.write(&plan, &declared, policy, who, now).await;
        if self.inventory.is_none() {
            return self.read_anew().await;
        }
        self.watch(self.enforced.values(), who);
        let next = self.plan_heal(policy);
        let more = !next.steps.is_empty() && self.problems.len() == told;
        self.report = Some(next.report);
        if !complete || more {
            End::Again
        } else {
            End::Settled
        }
    }

    /// Heal steps, and how many objects differ whether they are healed or not.
    fn plan_heal(&mut self, policy: &Policy) -> Plan {
        let inventory = self.inventory.get_or_insert_default();
        let nothing = (&BTreeMap::new(), &BTreeMap::new());
        let drift = drifted(&self.enforced, &self.live, inventory, nothing, policy);
        let mut plan = Plan {
            report: Report {
                out_of_sync: drift.len(),
                ..Report::default()
            },
            ..Plan::default()
        };
        if policy.automated && policy.self_heal {
            heal(&mut plan, &drift, &self.enforced);
        }
        plan
    }
}
