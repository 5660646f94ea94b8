//! Fights: somebody who sets a field again each time it is put back.
//!
//! A fight is the same manager at the same path within two seconds of our heal, five times in a
//! row. Then that object is put back more and more rarely, until the other one stops. People are
//! never taken for one: what kubectl writes is a person's, and edits of many objects, however many
//! a second, do not come back to the same one as quickly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::object::ObjectId;

/// How soon after a heal a change counts as an answer to it.
const ANSWER: Duration = Duration::from_secs(2);
/// How many answers in a row make a fight.
const ROUNDS: u32 = 5;
/// The first wait in a fight; it doubles with each round.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How many objects are remembered. More objects than this that are healed within two seconds are
/// a mass change, and healed as such.
const OBJECT_LIMIT: usize = 1_000;

/// A field that was put back, and who had written it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blow {
    /// The field manager.
    pub manager: String,
    /// The path.
    pub path: String,
}

impl Blow {
    /// What kubectl writes is a person's.
    fn is_by_a_person(&self) -> bool {
        self.manager == "kubectl" || self.manager.starts_with("kubectl-")
    }
}

/// What is remembered of objects that were healed a moment ago, or are fought over. Times are those
/// of any clock that never goes back.
#[derive(Debug, Default)]
pub struct Fights {
    bouts: BTreeMap<ObjectId, Bout>,
}

#[derive(Debug)]
struct Bout {
    /// What the last heal put back.
    blows: BTreeSet<Blow>,
    healed: Duration,
    /// When it was seen to differ again.
    answered: Option<Duration>,
    /// How many answers in a row there were.
    rounds: u32,
}

impl Bout {
    fn is_fight(&self) -> bool {
        self.rounds >= ROUNDS
    }

    /// When it may be healed again.
    fn next(&self) -> Duration {
        if !self.is_fight() {
            return self.healed;
        }
        let doubled = 2_u32.saturating_pow(self.rounds - ROUNDS);
        self.healed + FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)
    }

    /// Nothing came back within the time for an answer.
    fn is_over(&self, now: Duration) -> bool {
        self.answered.is_none() && now > self.healed + ANSWER
    }
}

impl Fights {
    /// Takes in which objects differ now, and forgets those that were left alone since their heal.
    pub fn observe(&mut self, drifted: &BTreeSet<ObjectId>, now: Duration) {
        for (id, bout) in &mut self.bouts {
            if drifted.contains(id) {
                bout.answered.get_or_insert(now);
            } else {
                bout.answered = None;
            }
        }
        self.bouts.retain(|_, bout| !bout.is_over(now));
    }

    /// True while a heal of the object has to wait.
    pub fn waits(&self, id: &ObjectId, now: Duration) -> bool {
        self.bouts.get(id).is_some_and(|bout| now < bout.next())
    }

    /// Takes in that an object was healed, and what was put back.
    pub fn healed(&mut self, id: &ObjectId, blows: BTreeSet<Blow>, now: Duration) {
        let blows: BTreeSet<Blow> = blows
            .into_iter()
            .filter(|blow| !blow.is_by_a_person())
            .collect();
        if blows.is_empty() {
            self.bouts.remove(id);
            return;
        }
        let rounds = match self.bouts.get(id) {
            Some(old) => {
                let is_answer = old
                    .answered
                    .is_some_and(|answered| answered <= old.healed + ANSWER);
                let again: BTreeSet<Blow> = old.blows.intersection(&blows).cloned().collect();
                if is_answer && !again.is_empty() {
                    let rounds = old.rounds + 1;
                    self.remember(id, again, now, rounds);
                    return;
                }
                0
            }
            None => 0,
        };
        self.remember(id, blows, now, rounds);
    }

    fn remember(&mut self, id: &ObjectId, blows: BTreeSet<Blow>, healed: Duration, rounds: u32) {
        if self.bouts.len() >= OBJECT_LIMIT && !self.bouts.contains_key(id) {
            return;
        }
        let bout = Bout {
            blows,
            healed,
            answered: None,
            rounds,
        };
        self.bouts.insert(id.clone(), bout);
    }

    /// When the next heal may be made, or a fight is over: the moment to look again.
    pub fn next(&self) -> Option<Duration> {
        let fights = self.bouts.values().filter(|bout| bout.is_fight());
        fights
            .map(|bout| match bout.answered {
                Some(_) => bout.next(),
                None => bout.healed + ANSWER + Duration::from_millis(1),
            })
            .min()
    }

    /// The fights, with who fights for what.
    pub fn fights(&self) -> impl Iterator<Item = (&ObjectId, &Blow)> {
        let fights = self.bouts.iter().filter(|(_, bout)| bout.is_fight());
        fights.filter_map(|(id, bout)| Some((id, bout.blows.first()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId::new("apps", "Deployment", "shop", name)
    }

    fn blow(manager: &str, path: &str) -> BTreeSet<Blow> {
        BTreeSet::from([Blow {
            manager: manager.into(),
            path: path.into(),
        }])
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Somebody who answers each heal after `answer`, until `end`. Returns when it was healed.
    fn heals(fights: &mut Fights, blows: &BTreeSet<Blow>, answer: Duration, end: u64) -> Vec<u128> {
        let web = id("web");
        let mut now = ms(1000);
        let mut healed = Vec::new();
        while now < ms(end) {
            fights.observe(&BTreeSet::from([web.clone()]), now);
            while fights.waits(&web, now) {
                now = fights.next().expect("it waits");
            }
            fights.observe(&BTreeSet::from([web.clone()]), now);
            fights.healed(&web, blows.clone(), now);
            healed.push(now.as_millis());
            now += answer;
        }
        healed
    }

    #[test]
    fn the_sixth_time_it_is_a_fight_and_heals_become_rare() {
        let mut fights = Fights::default();
        let healed = heals(
            &mut fights,
            &blow("rival", "spec.replicas"),
            ms(100),
            30_000,
        );
        // Five answers at once, then 5, 10 and 20 seconds.
        assert_eq!(
            healed,
            [1000, 1100, 1200, 1300, 1400, 1500, 6500, 16_500, 36_500]
        );
        let (object, blow) = fights.fights().next().expect("a fight");
        assert_eq!((object, blow.manager.as_str()), (&id("web"), "rival"));
    }

    #[test]
    fn the_wait_has_an_end() {
        let mut fights = Fights::default();
        let healed = heals(&mut fights, &blow("rival", "a"), ms(100), 10_000_000);
        let last: Vec<u128> = healed.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(last.last(), Some(&300_000));
    }

    #[test]
    fn it_ends_when_the_other_stops() {
        let mut fights = Fights::default();
        let healed = heals(&mut fights, &blow("rival", "a"), ms(100), 2000);
        let last = ms(u64::try_from(*healed.last().expect("some")).expect("small"));
        assert_eq!(fights.fights().count(), 1);
        fights.observe(&BTreeSet::new(), last + ms(1900));
        assert_eq!(fights.fights().count(), 1, "it may still answer");
        assert_eq!(fights.next(), Some(last + ms(2001)));
        fights.observe(&BTreeSet::new(), last + ms(2001));
        assert_eq!((fights.fights().count(), fights.next()), (0, None));
    }

    #[test]
    fn who_stops_while_it_waits_is_put_back_once_more() {
        let mut fights = Fights::default();
        let healed = heals(&mut fights, &blow("rival", "a"), ms(100), 1550);
        let last = ms(u64::try_from(*healed.last().expect("some")).expect("small"));
        let drifted = BTreeSet::from([id("web")]);
        fights.observe(&drifted, last + ms(100));
        assert!(fights.waits(&id("web"), last + ms(4999)));
        assert!(!fights.waits(&id("web"), last + ms(5000)));
        fights.healed(&id("web"), blow("rival", "a"), last + ms(5000));
        fights.observe(&BTreeSet::new(), last + ms(7001));
        assert_eq!(fights.fights().count(), 0);
        // What goes back by itself is no answer.
        assert!(!fights.waits(&id("web"), last + ms(7001)));
    }

    #[test]
    fn people_are_no_rivals() {
        for manager in ["kubectl", "kubectl-edit", "kubectl-client-side-apply"] {
            let mut fights = Fights::default();
            let healed = heals(
                &mut fights,
                &blow(manager, "spec.replicas"),
                ms(300),
                60_000,
            );
            assert_eq!(healed.len(), 197, "{manager}: healed each time");
            assert_eq!(fights.fights().count(), 0);
        }
    }

    #[test]
    fn another_path_another_manager_or_a_pause_begins_anew() {
        let mut fights = Fights::default();
        let healed = heals(&mut fights, &blow("rival", "a"), ms(2100), 60_000);
        assert_eq!(fights.fights().count(), 0, "{} heals", healed.len());
        let drifted = BTreeSet::from([id("web")]);
        for round in 0..50_u64 {
            let now = ms(100_000 + round * 100);
            fights.observe(&drifted, now);
            let (manager, path) = [("a", "x"), ("b", "x"), ("a", "y")][(round % 3) as usize];
            assert!(!fights.waits(&id("web"), now));
            fights.healed(&id("web"), blow(manager, path), now);
        }
        assert_eq!(fights.fights().count(), 0);
    }

    #[test]
    fn fifty_edits_a_second_over_a_thousand_objects_are_no_fight() {
        let mut fights = Fights::default();
        for edit in 0..10_000_u64 {
            let now = ms(edit * 20);
            let object = id(&format!("o{}", edit * 7 % 1001));
            fights.observe(&BTreeSet::from([object.clone()]), now);
            assert!(!fights.waits(&object, now));
            fights.healed(&object, blow("script", "data.value"), now);
            assert!(fights.bouts.len() <= 101, "only the last two seconds");
        }
        assert_eq!(fights.fights().count(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut fights = Fights::default();
        for number in 0..5_000 {
            fights.healed(&id(&number.to_string()), blow("rival", "a"), ms(0));
        }
        assert_eq!(fights.bouts.len(), OBJECT_LIMIT);
    }
}
