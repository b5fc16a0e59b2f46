//! What was used lately, up to a weight: the rest is let go, the longest unused first.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things by their keys, shared by threads.
pub(super) struct Lately<K, V> {
    kept: Mutex<Kept<K, V>>,
    weight_max: usize,
}

struct Kept<K, V> {
    things: HashMap<K, Thing<V>>,
    weight: usize,
    clock: u64,
}

struct Thing<V> {
    value: Arc<V>,
    weight: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash + Ord, V> Lately<K, V> {
    /// Keeps so much at most.
    pub(super) fn new(weight_max: usize) -> Self {
        let kept = Kept { things: HashMap::new(), weight: 0, clock: 0 };
        Self { kept: Mutex::new(kept), weight_max }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        // No step of ours panics half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut kept = self.lock();
        let now = kept.tick();
        let thing = kept.things.get_mut(key)?;
        thing.used = now;
        Some(Arc::clone(&thing.value))
    }

    /// Keeps `value` in place of what had its key; not if it alone is too much.
    pub(super) fn keep(&self, key: K, value: &Arc<V>, weight: usize) {
        if weight > self.weight_max {
            return;
        }
        let mut kept = self.lock();
        let used = kept.tick();
        let thing = Thing { value: Arc::clone(value), weight, used };
        kept.weight += weight;
        if let Some(before) = kept.things.insert(key, thing) {
            kept.weight -= before.weight;
        }
        if kept.weight > self.weight_max {
            kept.let_go((self.weight_max / 4 * 3).max(weight));
        }
    }

    pub(super) fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut kept = self.lock();
        if let Some(gone) = kept.things.remove(key) {
            kept.weight -= gone.weight;
        }
    }

    /// Lets all go; whether there was anything.
    pub(super) fn clear(&self) -> bool {
        let mut kept = self.lock();
        kept.weight = 0;
        !std::mem::take(&mut kept.things).is_empty()
    }
}

impl<K: Clone + Eq + Hash + Ord, V> Kept<K, V> {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Lets go until no more than `weight` is left: a part of all at once, for there may be thousands
    /// of small things, and they are put in order for it.
    fn let_go(&mut self, weight: usize) {
        let mut oldest: Vec<_> =
            self.things.iter().map(|(key, thing)| (thing.used, key.clone())).collect();
        oldest.sort_unstable();
        for (_, key) in oldest {
            if self.weight <= weight {
                break;
            }
            let gone = self.things.remove(&key);
            self.weight -= gone.map_or(0, |thing| thing.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lately: &Lately<u32, u32>) -> Vec<u32> {
        (0..100).filter(|key| lately.kept.lock().unwrap().things.contains_key(key)).collect()
    }

    #[test]
    fn the_longest_unused_go_first_and_a_quarter_at_once() {
        let lately = Lately::new(8);
        (0..8).for_each(|key| lately.keep(key, &Arc::new(key * 10), 1));
        assert_eq!(lately.get(&0).as_deref(), Some(&0));
        assert_eq!(kept(&lately), [0, 1, 2, 3, 4, 5, 6, 7]);
        lately.keep(8, &Arc::new(80), 1);
        assert_eq!(kept(&lately), [0, 4, 5, 6, 7, 8]);
        assert!(lately.get(&1).is_none());
    }

    #[test]
    fn a_heavy_one_takes_the_place_of_all_and_one_too_heavy_of_none() {
        let lately = Lately::new(8);
        (0..8).for_each(|key| lately.keep(key, &Arc::new(key), 1));
        lately.keep(9, &Arc::new(9), 9);
        assert_eq!(kept(&lately).len(), 8);
        lately.keep(8, &Arc::new(8), 8);
        assert_eq!(kept(&lately), [8]);
    }

    #[test]
    fn what_is_kept_anew_forgotten_or_cleared_weighs_no_more() {
        let lately = Lately::new(8);
        for round in 0..20 {
            lately.keep(1, &Arc::new(round), 5);
            lately.keep(2, &Arc::new(round), 3);
        }
        assert_eq!(lately.get(&1).as_deref(), Some(&19));
        lately.forget(&1);
        lately.forget(&1);
        lately.keep(3, &Arc::new(3), 5);
        assert_eq!(kept(&lately), [2, 3]);
        assert!(lately.clear());
        assert!(!lately.clear());
        lately.keep(4, &Arc::new(4), 8);
        assert_eq!(kept(&lately), [4]);
    }

    #[test]
    fn where_there_is_no_room_nothing_is_kept() {
        let lately = Lately::new(0);
        lately.keep(1, &Arc::new(1), 1);
        assert!(lately.get(&1).is_none());
    }
}
