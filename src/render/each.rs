//! Transformers that change each object on its own, without a look at the others. Those that follow
//! one another in a kustomization are run together, object by object: what one of them has just
//! looked at, the next finds in the processor's cache. Several threads share the objects.

use super::Transformer;
use super::context::Context;
use super::error::{Error, Result};
use super::resource::Resource;
use super::resources::Resources;

/// How many transformers are run together. Each thread remembers something for each of them.
pub(super) const TOGETHER: usize = 32;

/// What a transformer does to each object.
pub(super) trait Each: Sync {
    /// What one thread does to one object after the other.
    fn worker(&self) -> Worker<'_>;

    /// How many keys and values it looks at in so many objects, besides what every transformer does.
    fn steps(&self, _objects: usize) -> usize {
        0
    }

    /// Whether kind, name or namespace may change.
    fn changes_ids(&self) -> bool;

    /// Whether no two objects may be the same when it is done.
    fn ends_unique(&self) -> bool {
        false
    }
}

/// Changes one object. It may remember what it found out about the kinds of those before.
pub(super) type Worker<'a> = Box<dyn FnMut(&mut Resource) -> Result<()> + 'a>;

/// Runs one such transformer.
///
/// # Errors
/// Its own.
pub(super) fn apply(
    transformer: &dyn Transformer,
    resources: &mut Resources,
    context: &Context,
) -> Result<()> {
    let Some(each) = transformer.each(context)? else {
        return Ok(());
    };
    run(&[each], resources, context).map_err(|failed| failed.error)
}

/// What failed.
pub(super) struct Failed {
    /// The transformer, by its place among those that were run.
    pub step: usize,
    /// Its error.
    pub error: Error,
}

/// Runs transformers one after the other on each object, and counts their looks. Of several objects
/// that fail, one is told that depends on the objects alone. A limit of the whole render is
/// told of the last transformer, as who meets it depends on the threads.
///
/// # Errors
/// The transformer's, or past the limit.
pub(super) fn run(
    steps: &[Box<dyn Each + '_>],
    resources: &mut Resources,
    context: &Context,
) -> std::result::Result<(), Failed> {
    let changes_ids = steps.iter().any(|each| each.changes_ids());
    let step = steps.len().saturating_sub(1);
    let at_last = |error| Failed { step, error };
    let meter = &context.meter;
    for (step, each) in steps.iter().enumerate() {
        let work = meter.work(each.steps(resources.len()));
        work.map_err(|error| Failed { step, error })?;
    }
    resources.try_each(changes_ids, || {
        let mut workers: Vec<_> = steps.iter().map(|each| each.worker()).collect();
        move |resource| {
            let mut looks = 0;
            for (step, worker) in workers.iter_mut().enumerate() {
                // Each has its former names in view.
                looks += 1 + resource.trail.past.len();
                worker(resource).map_err(|error| match error.is_of_all() {
                    true => at_last(error),
                    false => Failed { step, error },
                })?;
            }
            meter.look(looks).map_err(at_last)
        }
    })?;
    match steps.iter().any(|each| each.ends_unique()) {
        true => resources.check_unique().map_err(at_last),
        false => Ok(()),
    }
}
