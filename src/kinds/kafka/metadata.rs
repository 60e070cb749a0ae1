//! The response to a Metadata request, and the check of the wanted topics and brokers.

use super::{failure::code_failure, message::Fields, target::Wanted};
use crate::{
    connect::Endpoint,
    probe::{Class, Failure},
    text::one_line,
};

/// The most brokers of a cluster that are read.
const MAX_BROKERS: usize = 2_000;
/// The code of a partition that has a leader, but not every replica.
const REPLICA_NOT_AVAILABLE: i16 = 9;

/// The state of a cluster, as one broker knows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The number and the advertised address of each live broker, in ascending order.
    pub(super) brokers: Vec<(i32, Endpoint)>,
    /// The number of the controller; negative if it is unknown.
    controller: i32,
    /// The topics that were asked for, in that order. `None`: the broker does not know it.
    topics: Vec<Option<Topic>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Topic {
    error: i16,
    partitions: usize,
    /// The first partition that does not serve, and its error.
    broken: Option<(i32, i16)>,
    /// The brokers that lead a partition.
    leaders: Numbers,
}

/// A set of brokers: their numbers, in ascending order.
///
/// A cluster has few brokers, usually named in order. The code of each type of map takes 5 KB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(Vec<i32>);

impl Numbers {
    fn add(&mut self, number: i32) {
        if let Err(place) = self.0.binary_search(&number) {
            self.0.insert(place, number);
        }
    }

    pub(super) fn contain(&self, number: i32) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Metadata {
    /// Reads a response of the version 1 to 8. Topics that are not among `wanted` are skipped.
    pub(super) fn parse(body: &[u8], version: i16, wanted: &[String]) -> Option<Self> {
        let mut fields = Fields(body);
        let mut metadata = Self { topics: vec![None; wanted.len()], ..Self::default() };
        if version >= 3 {
            fields.i32()?; // The time for which the request was throttled.
        }
        let brokers = fields.count().filter(|count| *count <= MAX_BROKERS)?;
        for _ in 0..brokers {
            let (id, host, port) = (fields.i32()?, fields.text()?, fields.i32()?);
            fields.text()?; // The rack.
            let host = one_line(&String::from_utf8_lossy(host), 255);
            let port = u16::try_from(port).ok()?;
            let broker = (id, Endpoint::Tcp(host, port));
            match metadata.place_of(id) {
                Ok(place) => metadata.brokers[place] = broker,
                Err(place) => metadata.brokers.insert(place, broker),
            }
        }
        if version >= 2 {
            fields.text()?; // The cluster's own name.
        }
        metadata.controller = fields.i32()?;
        for _ in 0..fields.count()? {
            let (error, name) = (fields.i16()?, fields.text()?);
            fields.bool()?; // True for a topic of Kafka's own.
            let topic = metadata.topic(&mut fields, version, error)?;
            if let Some(place) = wanted.iter().position(|wanted| wanted.as_bytes() == name) {
                metadata.topics[place] = Some(topic);
            }
        }
        Some(metadata)
    }

    /// The place of the broker with this number, or the place where it belongs.
    fn place_of(&self, number: i32) -> Result<usize, usize> {
        self.brokers.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn topic(&self, fields: &mut Fields<'_>, version: i16, error: i16) -> Option<Topic> {
        let mut topic = Topic { error, partitions: fields.count()?, ..Topic::default() };
        for _ in 0..topic.partitions {
            let (error, number, leader) = (fields.i16()?, fields.i32()?, fields.i32()?);
            if version >= 7 {
                fields.i32()?; // The leader's epoch.
            }
            fields.skip_numbers()?; // Replicas,
            fields.skip_numbers()?; // those in sync,
            if version >= 5 {
                fields.skip_numbers()?; // and those offline.
            }
            // A leader that is not a live broker is about to be replaced.
            let is_led =
                matches!(error, 0 | REPLICA_NOT_AVAILABLE) && self.place_of(leader).is_ok();
            if is_led {
                topic.leaders.add(leader);
            } else {
                topic.broken.get_or_insert((number, error));
            }
        }
        if version >= 8 {
            fields.i32()?; // Our rights on the topic.
        }
        Some(topic)
    }

    /// Checks that the cluster has the wanted topics and brokers. `place` is the asked broker.
    pub(super) fn check(&self, wanted: &Wanted, place: &Endpoint) -> Result<(), Failure> {
        let failure = |class, message: String| Failure::new(class, format!("{message} ({place})"));
        let (count, least) = (self.brokers.len(), wanted.brokers.max(1));
        if count < least {
            let message = match least {
                1 => "the cluster has no broker yet".to_owned(),
                least => format!("{count} of {least} brokers"),
            };
            return Err(failure(Class::Busy, message));
        }
        if self.controller < 0 {
            return Err(failure(Class::Busy, "the cluster has no controller yet".to_owned()));
        }
        for (name, topic) in wanted.topics.iter().zip(&self.topics) {
            let shown = format!("topic {}", one_line(name, 80));
            let Some(topic) = topic else {
                return Err(code_failure(3, shown, place));
            };
            if topic.error != 0 && topic.error != REPLICA_NOT_AVAILABLE {
                return Err(code_failure(topic.error, shown, place));
            }
            if let Some((number, error)) = topic.broken {
                let shown = format!("{shown}, partition {number}");
                return Err(match error {
                    0 | 5 | REPLICA_NOT_AVAILABLE => {
                        failure(Class::Busy, format!("{shown}: no leader"))
                    }
                    code => code_failure(code, shown, place),
                });
            }
            let (count, least) = (topic.partitions, wanted.partitions.max(1));
            if count < least {
                let message = format!("{shown} has {count} of {least} partitions");
                return Err(failure(Class::Absent, message));
            }
        }
        Ok(())
    }

    /// The brokers that a client of the topics must reach: the leaders of all partitions. Without
    /// topics any broker may be asked.
    pub(super) fn needed(&self) -> Numbers {
        let leaders = self.topics.iter().flatten().flat_map(|topic| &topic.leaders.0);
        let mut needed = Numbers::default();
        leaders.for_each(|number| needed.add(*number));
        needed
    }

    /// Returns the text that reports the cluster as ready.
    pub(super) fn detail(&self, wanted: &Wanted) -> String {
        let counted = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            count => format!("{count} {noun}s"),
        };
        let mut detail = format!("Kafka, {}", counted(self.brokers.len(), "broker"));
        for (name, topic) in wanted.topics.iter().zip(&self.topics) {
            let partitions = topic.as_ref().map_or(0, |topic| topic.partitions);
            let partitions = counted(partitions, "partition");
            detail += &format!(", topic {} with {partitions}", one_line(name, 80));
        }
        detail
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A response of version 4 with the brokers 1 and 2 and the topic `t`.
    fn response(controller: i32, topic_error: i16, partitions: &[(i16, i32)]) -> Vec<u8> {
        let mut out = b"\0\0\0\0\0\0\0\x02".to_vec();
        for id in [1, 2_i32] {
            out.extend(id.to_be_bytes());
            out.extend(b"\0\x01k\0\0\x23\x84\xff\xff");
        }
        out.extend(b"\0\x02id");
        out.extend(controller.to_be_bytes());
        out.extend(b"\0\0\0\x01");
        out.extend(topic_error.to_be_bytes());
        out.extend(b"\0\x01t\0");
        out.extend((partitions.len() as i32).to_be_bytes());
        for (number, (error, leader)) in partitions.iter().enumerate() {
            out.extend(error.to_be_bytes());
            out.extend((number as i32).to_be_bytes());
            out.extend(leader.to_be_bytes());
            out.extend(b"\0\0\0\x01\0\0\0\x01\0\0\0\0");
        }
        out
    }

    fn wanted(topics: &[&str], brokers: usize, partitions: usize) -> Wanted {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Wanted { topics, brokers, partitions }
    }

    #[test]
    fn every_partition_needs_a_live_leader() {
        let place = Endpoint::Tcp("k".to_owned(), 9092);
        let whole = response(1, 0, &[(0, 1), (9, 2)]);
        let (t, u) = (wanted(&["t"], 0, 0), wanted(&["u"], 0, 0));
        for (body, wanted, class, says) in [
            (&whole, wanted(&[], 0, 0), None, ""),
            (&whole, wanted(&["t"], 2, 2), None, ""),
            (&whole, wanted(&[], 3, 0), Some(Class::Busy), "2 of 3 brokers (k:9092)"),
            (
                &whole,
                wanted(&["t"], 0, 3),
                Some(Class::Absent),
                "topic t has 2 of 3 partitions (k:9092)",
            ),
            (&whole, u, Some(Class::Absent), "topic u: UNKNOWN_TOPIC_OR_PARTITION (k:9092)"),
            (
                &response(-1, 0, &[]),
                wanted(&[], 0, 0),
                Some(Class::Busy),
                "the cluster has no controller yet (k:9092)",
            ),
            (
                &response(1, 5, &[]),
                wanted(&["t"], 0, 0),
                Some(Class::Busy),
                "topic t: LEADER_NOT_AVAILABLE (k:9092)",
            ),
            (
                &response(1, 0, &[(0, 1), (0, -1)]),
                wanted(&["t"], 0, 0),
                Some(Class::Busy),
                "topic t, partition 1: no leader (k:9092)",
            ),
            (
                &response(1, 0, &[(0, 7)]),
                wanted(&["t"], 0, 0),
                Some(Class::Busy),
                "topic t, partition 0: no leader (k:9092)",
            ),
            (
                &response(1, 0, &[(72, -1)]),
                wanted(&["t"], 0, 0),
                Some(Class::Busy),
                "topic t, partition 0: LISTENER_NOT_FOUND (k:9092)",
            ),
            (
                &response(1, 0, &[]),
                t,
                Some(Class::Absent),
                "topic t has 0 of 1 partitions (k:9092)",
            ),
        ] {
            let metadata = Metadata::parse(body, 4, &wanted.topics).unwrap();
            let failure = metadata.check(&wanted, &place).err();
            assert_eq!(failure.as_ref().map(|failure| failure.class), class, "{says}");
            assert_eq!(
                failure.map(|failure| failure.message.to_string()).unwrap_or_default(),
                says
            );
        }
        let metadata = Metadata::parse(&whole, 4, &["t".to_owned()]).unwrap();
        assert_eq!(metadata.needed(), Numbers(vec![1, 2]));
        let detail = "Kafka, 2 brokers, topic t with 2 partitions";
        assert_eq!(metadata.detail(&wanted(&["t"], 0, 0)), detail);
    }

    #[test]
    fn a_response_that_ends_early_is_none() {
        let whole = response(1, 0, &[(0, 1)]);
        for end in 0..whole.len() {
            assert_eq!(Metadata::parse(&whole[..end], 4, &[]), None, "{end}");
        }
        // Far more brokers than bytes, and far more than a cluster has.
        assert_eq!(Metadata::parse(b"\0\0\0\0\x7f\xff\xff\xff", 4, &[]), None);
    }
}
