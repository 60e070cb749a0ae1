//! Dates of the civil calendar.

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// Howard Hinnant's `days_from_civil` (howardhinnant.github.io/date_algorithms.html).
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * m + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
