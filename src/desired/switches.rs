//! Switches that authors put on objects as annotations. Junk is an error, never a default.

use super::at;
use crate::api::{ObjectOptions, Removal};
use crate::error::Diagnostics;
use crate::object::{Object, keys};
use crate::render::RenderedObject;

/// What an object's annotations ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) wave: i32,
    pub(super) options: ObjectOptions,
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
    switches.options = options(object, one, mistakes);
    switches.ignored = is_disabled(object, keys::RECONCILE, one, mistakes);
    switches
}

/// Argo CD's options, and towline's own annotation, which is the later word.
fn options(object: &Object, one: &RenderedObject, mistakes: &mut Diagnostics) -> ObjectOptions {
    let text = object.annotation(keys::ARGO_SYNC_OPTIONS);
    let mut options = match ObjectOptions::read(text.unwrap_or_default()) {
        Ok(options) => options,
        Err(wrong) => {
            for what in wrong {
                let message = format!("{}: {what}", keys::ARGO_SYNC_OPTIONS);
                mistakes.push(at(one, message).about(object.id()));
            }
            ObjectOptions::default()
        }
    };
    options.replace = switch(object, keys::REPLACE, one, mistakes).or(options.replace);
    options.force = switch(object, keys::FORCE, one, mistakes).or(options.force);
    let fate = match object.annotation(keys::PRUNE) {
        None => return options,
        Some("enabled") => Removal::Delete,
        Some("disabled") => Removal::Keep,
        Some("confirm") => Removal::Confirm,
        Some(other) => {
            let message = format!(
                "`{}: {other}` is none of `enabled`, `disabled` and `confirm`",
                keys::PRUNE
            );
            mistakes.push(at(one, message).about(object.id()));
            return options;
        }
    };
    options.prune = fate;
    options.delete = fate;
    options
}

/// True for `disabled`.
fn is_disabled(
    object: &Object,
    key: &str,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) -> bool {
    switch(object, key, one, mistakes) == Some(false)
}

/// True for `enabled`, false for `disabled`; anything else is a mistake.
fn switch(
    object: &Object,
    key: &str,
    one: &RenderedObject,
    mistakes: &mut Diagnostics,
) -> Option<bool> {
    match object.annotation(key)? {
        "enabled" => Some(true),
        "disabled" => Some(false),
        other => {
            let message = format!("`{key}: {other}` is neither `enabled` nor `disabled`");
            mistakes.push(at(one, message).about(object.id()));
            None
        }
    }
}
