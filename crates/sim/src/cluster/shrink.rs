//! Cuts a failing list of faults down to those that the failure needs.

/// The shortest sublist found for which `breaks` still holds: halves first, then single elements
/// (Zeller's ddmin, without complements). Returns `list` as it is when it doesn't break at all.
pub fn cut_down<T: Clone>(list: &[T], mut breaks: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut least = list.to_vec();
    if !breaks(&least) {
        return least;
    }
    let mut size = least.len().max(1);
    while size > 0 {
        let mut from = 0;
        while from < least.len() {
            let mut fewer = least.clone();
            fewer.drain(from..(from + size).min(least.len()));
            if breaks(&fewer) {
                least = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_left() {
        let list: Vec<u32> = (0..100).collect();
        let least = cut_down(&list, |l| l.contains(&17) && l.contains(&80));
        assert_eq!(least, [17, 80]);
    }

    #[test]
    fn a_list_that_does_not_break_stays() {
        assert_eq!(cut_down(&[1, 2], |_| false), [1, 2]);
    }
}
