//! Ends what this process started, however this process ends.
//!
//! `Drop` is not enough: statics are never dropped, and nothing is after `kill -9` or an abort. So
//! a small shell waits on a pipe whose other end only this process holds. Each started process and
//! each temporary directory is told to it as a line. When this process is gone the kernel closes
//! the pipe, the shell reads end of file, kills what is still registered and removes the
//! directories. It works the same on every Unix, and needs no `unsafe`.

use crate::error::{Context, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Signals are ignored: Ctrl-C ends the owner, and that end is what the shell waits for.
///
/// A process killed with -9 may still be writing for a moment, hence the loop around `rm`.
const SCRIPT: &str = r#"
trap '' INT HUP TERM QUIT
pids=' ' dirs=''
while read -r verb value; do
  case $verb in
    kill) pids="$pids$value " ;;
    spare) pids=$(printf '%s' "$pids" | sed "s/ $value / /") ;;
    remove) dirs="$dirs$value
" ;;
    keep) dirs=$(printf '%s' "$dirs" | grep -vxF -- "$value"; echo x); dirs=${dirs%x} ;;
  esac
done
for pid in $pids; do
  kill -KILL "-$pid" 2>/dev/null
  kill -KILL "$pid" 2>/dev/null
done
IFS='
'
for dir in $dirs; do
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$dir" 2>/dev/null && break
    sleep 0.1
  done
done
"#;

struct Reaper {
    // Kept so that the shell is not reported as a leaked handle; it is never waited for.
    _shell: Child,
    pipe: ChildStdin,
}

fn tell(verb: &str, value: &str) -> Result<()> {
    static REAPER: OnceLock<Mutex<Option<Reaper>>> = OnceLock::new();
    let mut reaper = REAPER
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if reaper.is_none() {
        *reaper = Some(start()?);
    }
    if let Some(reaper) = reaper.as_mut() {
        // One write: a line must not be half there when this process is killed.
        reaper
            .pipe
            .write_all(format!("{verb} {value}\n").as_bytes())
            .doing(|| "telling the reaper shell what to clean up".into())?;
    }
    Ok(())
}

fn start() -> Result<Reaper> {
    // Rust marks its end of the pipe close-on-exec, so no other child can hold it open. The other
    // streams are closed: a test harness waits until nobody holds its stdout.
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "towline-testcluster-reaper"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .doing(|| "starting the reaper shell (/bin/sh)".into())?;
    let pipe = shell
        .stdin
        .take()
        .ok_or_else(|| crate::Error::new("the reaper has no pipe"))?;
    Ok(Reaper {
        _shell: shell,
        pipe,
    })
}

/// Kill this process (and its group) when ours ends.
pub(crate) fn kill_at_exit(pid: u32) -> Result<()> {
    tell("kill", &pid.to_string())
}

/// The process has ended, or shall be left running.
pub(crate) fn spare(pid: u32) {
    // A broken pipe means that the shell is gone, and then there is nothing to take back.
    let _ = tell("spare", &pid.to_string());
}

/// Remove this directory when our process ends.
pub(crate) fn remove_at_exit(dir: &Path) -> Result<()> {
    tell("remove", &dir.display().to_string())
}

/// The directory is gone already, or shall be kept.
pub(crate) fn keep(dir: &Path) {
    let _ = tell("keep", &dir.display().to_string());
}
