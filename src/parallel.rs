//! The same work on many things, by several threads: reading the YAML of files, printing and hashing
//! objects are most of what a revision costs. Nothing of it shows in the results.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many things a thread takes at a time: few, so that all end together.
const AT_A_TIME: usize = 16;
/// The same of things that take hardly any time each. So many objects are in a thread's cache
/// together.
pub(crate) const PORTION: usize = 256;

/// What `work` makes of each of `items`, in their order, by up to `threads` threads: this one, and
/// others that have ended when it returns.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    take_and_map(items, AT_A_TIME, threads, work)
}

/// What `work` makes of each portion of `items`, of up to `portion` things, in their order, by up to
/// `threads` threads. It is told the place of the first.
pub(crate) fn map_portions<'a, T: Sync, R: Send>(
    items: &'a [T],
    portion: usize,
    threads: usize,
    work: impl Fn(usize, &'a [T]) -> R + Sync,
) -> Vec<R> {
    let portion = portion.max(1);
    let starts = (0..).step_by(portion);
    let portions = starts.zip(items.chunks(portion)).collect();
    take_and_map(portions, 1, threads, |(start, few): (usize, &'a [T])| {
        work(start, few)
    })
}

/// What `work` makes of a few of `items` at a time, in their order, by up to `threads` threads.
pub(crate) fn map_few<T: Send, R: Send>(
    mut items: Vec<T>,
    threads: usize,
    work: impl Fn(Vec<T>) -> R + Sync,
) -> Vec<R> {
    let starts = (0..items.len()).step_by(AT_A_TIME).rev();
    let mut few: Vec<Vec<T>> = starts.map(|start| items.split_off(start)).collect();
    few.reverse();
    take_and_map(few, 1, threads, work)
}

/// As [`map`]; a thread takes `at_a_time` things at a time.
fn take_and_map<T: Send, R: Send>(
    items: Vec<T>,
    at_a_time: usize,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let helpers = items
        .len()
        .div_ceil(at_a_time)
        .min(threads)
        .saturating_sub(1);
    if helpers == 0 {
        return items.into_iter().map(work).collect();
    }
    let mut done: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let waiting = Mutex::new(items.into_iter().zip(done.iter_mut()));
    let take = || {
        // A thread that panicked ends the whole: what the others still do does not matter.
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.by_ref().take(at_a_time).collect::<Vec<_>>()
    };
    let run = || {
        loop {
            let taken = take();
            if taken.is_empty() {
                break;
            }
            for (item, place) in taken {
                *place = Some(work(item));
            }
        }
    };
    with_helpers(helpers, &run);
    done.into_iter().flatten().collect()
}

/// What `work` makes of each of `items`, in their order, by up to `threads` threads.
pub(crate) fn map_ref<'a, T: Sync, R: Send>(
    items: &'a [T],
    threads: usize,
    work: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    flat_map_ref(items, threads, |_, item| [work(item)])
}

/// The same, where it may be none or several of each; `work` is told the place of an item.
pub(crate) fn flat_map_ref<'a, T: Sync, R: Send, I: IntoIterator<Item = R>>(
    items: &'a [T],
    threads: usize,
    work: impl Fn(usize, &'a T) -> I + Sync,
) -> Vec<R> {
    let made = map_portions(items, PORTION, threads, |start, portion| {
        let placed = (start..).zip(portion);
        let made = placed.flat_map(|(place, item)| work(place, item));
        made.collect::<Vec<R>>()
    });
    let mut all = Vec::with_capacity(made.iter().map(Vec::len).sum());
    made.into_iter().for_each(|few| all.extend(few));
    all
}

/// Calls `work` with one portion of `items` after the other, each of up to `portion` things, by up
/// to `threads` threads: this one, and others that have ended when it returns.
///
/// # Errors
/// That of the first portion that has one, whoever met it. Portions behind it may be left out.
pub(crate) fn try_each<T: Send, E: Send>(
    items: &mut [T],
    portion: usize,
    threads: usize,
    work: impl Fn(&mut [T]) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let portions = items.chunks_mut(portion.max(1));
    let helpers = portions.len().min(threads).saturating_sub(1);
    if helpers == 0 {
        return portions.into_iter().try_for_each(work);
    }
    let waiting = Mutex::new(portions.enumerate());
    let failed = Mutex::new(None);
    let lock = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || {
        // Portions are taken in order: those in front of one that failed are all begun.
        while lock().is_none() {
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next();
            let Some((place, portion)) = next else { break };
            if let Err(error) = work(portion) {
                let mut failed = lock();
                if failed.as_ref().is_none_or(|(first, _)| place < *first) {
                    *failed = Some((place, error));
                }
            }
        }
    };
    with_helpers(helpers, &run);
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(()), |(_, error)| Err(error))
}

/// Runs `run` here and in so many other threads, until all have ended.
fn with_helpers(helpers: usize, run: &(impl Fn() + Sync)) {
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Where the system gives no thread, the others do its part.
            let _ = thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn results_have_the_order_of_the_items_whoever_made_them() {
        for threads in [0, 1, 2, 5] {
            for count in [0, 1, AT_A_TIME, 3 * AT_A_TIME + 1] {
                let expected: Vec<String> = (0..count).map(|i| i.to_string()).collect();
                let made = map((0..count).collect(), threads, |i: usize| i.to_string());
                assert_eq!(made, expected, "{count} by {threads}");
                let items: Vec<usize> = (0..count).collect();
                let portions = map_portions(&items, 3, threads, |start, portion| {
                    assert_eq!(portion[0], start);
                    portion.to_vec()
                });
                assert!(
                    portions
                        .iter()
                        .all(|portion| (1..=3).contains(&portion.len()))
                );
                assert_eq!(portions.concat(), items, "{count} by {threads}");
                let few = map_few(items.clone(), threads, |few| few);
                assert!(few.iter().all(|few| (1..=AT_A_TIME).contains(&few.len())));
                assert_eq!(few.concat(), items, "{count} by {threads}");
            }
        }
    }

    #[test]
    fn the_first_portion_that_fails_is_told_whoever_met_it() {
        for threads in [0, 1, 2, 5] {
            let mut items: Vec<usize> = (0..100).collect();
            let doubled = |portion: &mut [usize]| {
                portion.iter_mut().for_each(|item| *item *= 2);
                Ok::<(), usize>(())
            };
            try_each(&mut items, 7, threads, doubled).expect("nothing fails");
            assert!(items.iter().enumerate().all(|(i, item)| *item == 2 * i));
            let fails = |portion: &mut [usize]| match portion.iter().find(|i| **i >= 50) {
                Some(item) => Err(*item),
                None => Ok(()),
            };
            let failed = try_each(&mut items, 7, threads, fails);
            assert_eq!(failed, Err(50), "{threads} threads");
            assert_eq!(try_each(&mut [0; 0], 7, threads, fails), Ok(()));
        }
    }

    #[test]
    fn several_threads_work_at_once() {
        // The first thing of each portion waits until the other portion is begun.
        let (begun, deadline) = (AtomicUsize::new(0), Duration::from_secs(30));
        let start = Instant::now();
        let made = map((0..2 * AT_A_TIME).collect(), 2, |i: usize| {
            if i.is_multiple_of(AT_A_TIME) {
                begun.fetch_add(1, Ordering::SeqCst);
                while begun.load(Ordering::SeqCst) < 2 && start.elapsed() < deadline {
                    thread::yield_now();
                }
            }
            thread::current().id()
        });
        assert_ne!(made[0], made[AT_A_TIME], "one thread did it all");
    }
}
