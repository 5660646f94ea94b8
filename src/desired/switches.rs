//! Switches that authors put on objects as annotations. Junk is an error, never a default.

use super::at;
use crate::error::Diagnostics;
use crate::object::{Object, keys};
use crate::render::RenderedObject;

/// What an object's annotations ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) wave: i32,
    pub(super) keep: bool,
    pub(super) ignored: bool,
}

/// Reads the switches; what does not parse is collected.
pub(super) fn read(object: &Object, one: &RenderedObject, mistakes: &mut Diagnostics) -> Switches {
    let mut switches = Switches::default();
    for key in [keys::SYNC_WAVE, keys::ARGO_SYNC_WAVE] {
        let Some(text) = object.annotation(key) else {
            continue;
        };
        match text.trim().parse() {
            Ok(wave) => {
                switches.wave = wave;
                break;
            }
            Err(_) => mistakes.push(
                at(one, format!("`{key}: {text}` is not a whole number"))
                    .about(object.id())
                    .hint("write it in quotes, such as \"-1\" or \"5\""),
            ),
        }
    }
    switches.keep = is_disabled(object, keys::PRUNE, one, mistakes);
    switches.ignored = is_disabled(object, keys::RECONCILE, one, mistakes);
    for option in object
        .annotation(keys::ARGO_SYNC_OPTIONS)
        .unwrap_or_default()
        .split(',')
    {
        match option.trim() {
            "Prune=false" | "Delete=false" => switches.keep = true,
            // What towline does in any case.
            "" | "ServerSideApply=true" | "Validate=true" | "PruneLast=true" => {}
            other => mistakes.push(
                at(one, format!("`{}: {other}` is not supported", keys::ARGO_SYNC_OPTIONS))
                    .about(object.id())
                    .hint("supported are Prune=false, Delete=false, PruneLast=true and ServerSideApply=true"),
            ),
        }
    }
    switches
}

/// True for `disabled`; anything else but `enabled` is a mistake.
fn is_disabled(
    object: &Object,
    key: &str,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) -> bool {
    match object.annotation(key) {
        None | Some("enabled") => false,
        Some("disabled") => true,
        Some(other) => {
            mistakes.push(
                at(
                    one,
                    format!("`{key}: {other}` is neither `enabled` nor `disabled`"),
                )
                .about(object.id()),
            );
            false
        }
    }
}
