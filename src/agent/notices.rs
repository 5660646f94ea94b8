//! What the watches told an Application since it looked last.

use tokio::time::Instant;

use super::application::{Application, STATUS_SPACING};
use super::mailbox::Notice;
use crate::live::Sighting;

impl Application {
    /// Takes in what the watches told. Returns true when something is not as it was.
    pub(super) fn read_mailbox(&mut self) -> bool {
        if self.mailbox.take_sight() {
            self.timers.publish_by(Instant::now() + STATUS_SPACING);
        }
        let heard = self.mailbox.take_pods();
        let mut changed = !heard.is_empty() && (self.pods.take(heard) | self.weigh());
        let gone = self.mailbox.take_autoscalers();
        if !gone.is_empty() {
            self.autoscalers.forget(&gone);
            // Who scales what is asked again: another autoscaler may have taken its place.
            self.scaled.clear();
            changed = true;
        }
        for (id, notice) in self.mailbox.take() {
            let known = self.live.get(&id);
            // How it went is told once, and no look finds it out.
            match &notice {
                Notice::Ended(seen) => {
                    self.last.insert(id.clone(), (**seen).clone());
                }
                Notice::Interrupted => {
                    self.interrupted.insert(id.clone());
                }
                _ => {}
            }
            let Some(known) = known else {
                // Not looked for yet, or not ours: the next look decides.
                continue;
            };
            match notice {
                Notice::Ended(_) | Notice::Interrupted => {
                    self.live.remove(&id);
                    changed = true;
                }
                Notice::Lost => {
                    self.live.remove(&id);
                    changed = true;
                }
                Notice::Seen(mut seen) => {
                    if let Sighting::Present(old) = known {
                        let same = old.uid == seen.uid;
                        if same && seen.version <= old.version {
                            continue;
                        }
                        let untouched = seen.is_untouched(old);
                        seen.holds = old.holds.filter(|_| same && untouched);
                        self.weigh_one(&id, &mut seen, jiff::Timestamp::now());
                        changed |= seen.holds != old.holds
                            || seen.health != old.health
                            || seen.unsettled != old.unsettled
                            || seen.terminating != old.terminating
                            || seen.finished != old.finished;
                    } else {
                        changed = true;
                    }
                    self.live.insert(id, Sighting::Present(seen));
                }
            }
        }
        for listing in self.mailbox.take_listings() {
            let before = self.live.len();
            self.live
                .retain(|id, seen| seen.present().is_none() || !listing.lacks(id));
            changed |= self.live.len() != before;
        }
        changed
    }
}
