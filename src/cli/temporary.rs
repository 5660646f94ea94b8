//! A directory for what a command reads, gone when the command is.

use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A directory that only this user can look into, removed when it is dropped.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    /// Makes one among the machine's temporary files.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn new() -> anyhow::Result<Self> {
        let now = jiff::Timestamp::now().as_nanosecond();
        let name = format!("towline-{}-{now}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut builder = DirBuilder::new();
        // What is in a private repository is for nobody else on this machine.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        // Made anew: one that is there already may be somebody's trap.
        builder
            .create(&path)
            .with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays behind is in the directory for what may stay behind.
        let _ = fs::remove_dir_all(&self.0);
    }
}
