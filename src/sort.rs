//! One sort for all types.
//!
//! The standard library's sort is compiled anew for each type and each comparison. With twenty of
//! them, a fortieth of the program would be sorting. It also sorts the items of each type that is
//! collected into a `BTreeMap` or `BTreeSet`. So such a collection starts empty and is extended.

use std::cmp::Ordering;

/// Sorts by `compare`. Equal items keep their order.
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    sort_places(&mut order, &|a, b| compare(&items[a], &items[b]));
    arrange(items, order);
}

/// Sorts in ascending order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by a key of each item. Equal items keep their order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

fn sort_places(order: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    order.sort_by(|&a, &b| compare(a, b));
}

/// Moves the item at `order[n]` to place `n`, for each `n`.
fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for first in 0..order.len() {
        // Follows one cycle of the permutation. Places that are done name themselves.
        let mut place = first;
        loop {
            let from = std::mem::replace(&mut order[place], place);
            if from == first || from == place {
                break;
            }
            items.swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_as_by_the_standard_library() {
        for length in 0..60_usize {
            let items: Vec<(usize, usize)> =
                (0..length).map(|n| (n * 7919 % 13 % (length + 1), n)).collect();
            let (mut ours, mut theirs) = (items.clone(), items);
            sort_by_key(&mut ours, |item| item.0);
            theirs.sort_by_key(|item| item.0);
            assert_eq!(ours, theirs, "stable");
            sort_by_key(&mut ours, |item| std::cmp::Reverse(item.1));
            theirs.sort_by_key(|item| std::cmp::Reverse(item.1));
            assert_eq!(ours, theirs);
            sort(&mut ours);
            theirs.sort();
            assert_eq!(ours, theirs);
        }
    }
}
