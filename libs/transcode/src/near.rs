//! Which known names a misspelt one may mean.

/// The names within two edits of the given one (fewer, for short names), nearest first, at most three.
/// A swap of neighbours is one edit. Capitals and hyphens do not count: `clientOrderId` means
/// `client_order_id`.
pub(crate) fn matches<'n>(wrong: &str, known: &[&'n str]) -> Vec<&'n str> {
    // Beyond this length it is not a typing mistake, and the distance is quadratic.
    if wrong.len() > 64 {
        return Vec::new();
    }
    let wrong = plain(wrong);
    let allowed = match wrong.len() {
        0 | 1 => 0,
        2..=4 => 1,
        _ => 2,
    };
    let mut found: Vec<(usize, &str)> = known
        .iter()
        .map(|&name| (distance(&wrong, &plain(name)), name))
        .filter(|&(distance, _)| distance <= allowed)
        .collect();
    found.sort_by_key(|&(distance, _)| distance);
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The number of insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, &a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = [
            "symbol",
            "qty",
            "side",
            "type",
            "limit_price",
            "client_order_id",
            "time_in_force",
        ];
        assert_eq!(matches("qyt", &known), ["qty"]);
        assert_eq!(matches("clientOrderId", &known), ["client_order_id"]);
        assert_eq!(matches("limitprise", &known), ["limit_price"]);
        assert_eq!(matches("Side", &known), ["side"]);
        assert!(matches("quantity", &known).is_empty());
        assert!(matches(&"x".repeat(65), &known).is_empty());
    }
}
