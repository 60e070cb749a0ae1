//! The rows of one answer, as text.
//!
//! All texts are in one buffer. As separate strings, a hundred thousand rows would take long to
//! free: 200 such answers at once would delay a deadline.

use crate::text::lossy;

/// A row; NULL is `None`.
pub(super) type Row<'a> = Vec<Option<&'a str>>;

/// The most memory that is in use, in bytes. A buffer that grows may hold twice as much.
const MAX_SIZE: usize = 8 << 20;

/// Rows, each with its own number of values.
#[derive(Debug, Default)]
pub(super) struct Rows {
    texts: String,
    /// The end of each value in `texts`, where the next one begins; `None` for NULL.
    values: Vec<Option<u32>>,
    /// The end of each row in `values`.
    ends: Vec<u32>,
}

/// The rows take more than [`MAX_SIZE`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl TooLarge {
    pub(super) fn message(&self) -> String {
        format!("the answer takes more than {} MiB", MAX_SIZE >> 20)
    }
}

impl Rows {
    /// Adds a value to the last row, which [`Rows::end_row`] completes.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), TooLarge> {
        let length = value.map_or(0, <[u8]>::len);
        let used = self.texts.len() + size_of_val(&*self.values) + size_of_val(&*self.ends);
        if used + length > MAX_SIZE {
            return Err(TooLarge);
        }
        let end = value.map(|value| {
            match str::from_utf8(value) {
                Ok(text) => self.texts.push_str(text),
                Err(_) => self.texts.push_str(&lossy(value)),
            }
            self.texts.len() as u32
        });
        self.values.push(end);
        Ok(())
    }

    /// Ends a row. Even a row without values takes memory.
    pub(super) fn end_row(&mut self) -> Result<(), TooLarge> {
        if size_of_val(&*self.ends) > MAX_SIZE {
            return Err(TooLarge);
        }
        self.ends.push(self.values.len() as u32);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let (mut first, mut at) = (0, 0);
        self.ends.iter().map(move |end| {
            let values = &self.values[first..*end as usize];
            first = *end as usize;
            let mut text = |end: &Option<u32>| {
                let end = (*end)? as usize;
                let text = &self.texts[at..end];
                at = end;
                Some(text)
            };
            values.iter().map(&mut text).collect()
        })
    }

    /// All values in turn.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.iter().flatten()
    }

    /// The only row. `None` if there are none or several.
    pub(super) fn only(&self) -> Option<Row<'_>> {
        if self.len() == 1 { self.iter().next() } else { None }
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) fn of<const N: usize>(rows: &[[Option<&str>; N]]) -> Self {
        let mut all = Self::default();
        for row in rows {
            row.iter().for_each(|value| all.push(value.map(str::as_bytes)).unwrap());
            all.end_row().unwrap();
        }
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_pushed() {
        let mut rows = Rows::default();
        let pushed: [&[Option<&str>]; 5] =
            [&[Some("a"), None, Some("")], &[], &[None], &[Some("bc")], &[Some("é"), Some("d")]];
        for row in pushed {
            row.iter().for_each(|value| rows.push(value.map(str::as_bytes)).unwrap());
            rows.end_row().unwrap();
        }
        assert_eq!(rows.iter().collect::<Vec<_>>(), pushed.map(<[_]>::to_vec));
        assert_eq!(rows.values().count(), 7);
        assert_eq!((rows.len(), rows.only()), (5, None));
        assert_eq!(Rows::of(&[[Some("t")]]).only(), Some(vec![Some("t")]));
        let mut invalid = Rows::default();
        invalid.push(Some(b"\xff")).unwrap();
        invalid.end_row().unwrap();
        assert_eq!(invalid.values().next(), Some(Some("\u{fffd}")));
    }

    #[test]
    fn texts_values_and_rows_are_bounded() {
        let mut rows = Rows::default();
        assert_eq!(rows.push(Some(&vec![b'x'; MAX_SIZE + 1])), Err(TooLarge));
        let pushes = (0..MAX_SIZE).take_while(|_| rows.push(None).is_ok()).count();
        assert!(pushes > MAX_SIZE / 16 && pushes <= MAX_SIZE / size_of::<Option<u32>>() + 1);
        let mut rows = Rows::default();
        let ended = (0..MAX_SIZE).take_while(|_| rows.end_row().is_ok()).count();
        assert!(ended <= MAX_SIZE / 4 + 1, "{ended}");
    }
}
