//! Tasks that end with whoever waits for them.

use tokio::task::JoinHandle;

/// A task that ends by itself, or when this is dropped.
pub(super) struct Aborting<T>(pub(super) JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
