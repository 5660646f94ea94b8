//! Discovery, shared by all Applications and asked again only when a kind is missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::{Cluster, Discovery, Error};

/// How long what was found is good enough for somebody who misses a kind.
const FRESH: Duration = Duration::from_millis(500);

/// The last discovery.
#[derive(Default)]
pub struct Kinds {
    last: Mutex<Option<(Instant, Arc<Discovery>)>>,
}

impl Kinds {
    /// What is served. With `missing`, something was not found, and it is asked anew unless that
    /// was done a moment ago.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn get(&self, cluster: &dyn Cluster, missing: bool) -> Result<Arc<Discovery>, Error> {
        let mut last = self.last.lock().await;
        if let Some((at, discovery)) = &*last
            && (!missing || at.elapsed() < FRESH)
        {
            return Ok(Arc::clone(discovery));
        }
        let discovery = Arc::new(cluster.discover().await?);
        *last = Some((Instant::now(), Arc::clone(&discovery)));
        Ok(discovery)
    }
}
