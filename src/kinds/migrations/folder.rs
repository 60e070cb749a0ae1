//! The operator's directory: listed and read on threads, each file once, and only when its tool's
//! table is known.
//!
//! A silent file system delays neither the start nor a deadline. The attempts report mistakes that
//! the start did not find in time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use regex_lite::Regex;

use super::{
    dir::Listing,
    files::{recognises, recognises_any},
    job::Job,
    readers::liquibase,
    tool::{Files, Tool},
    wanted::Wanted,
};
use crate::probe::Failure;

/// The longest time for which reading a directory may delay the start.
const PATIENCE: Duration = Duration::from_secs(2);

/// True once a directory used up the start's patience. Later directories have none.
static USED_UP: AtomicBool = AtomicBool::new(false);

/// The place of another tool's files, if it is one level above or below.
type Level = Option<String>;

/// The result of listing: the files, or the mistake in `dir`.
type Listed = Result<Arc<Listing>, String>;

/// The result of reading: the migrations, or the mistake in `dir`.
pub(super) type Reading = Result<Arc<Wanted>, String>;

/// The rules by which a declaration's directory is read.
#[derive(Default)]
pub(super) struct Request {
    /// The paths of `dir`.
    pub paths: Vec<String>,
    /// The applications of `apps`.
    pub apps: Vec<String>,
    /// `key-pattern` and its compiled form.
    pub pattern: Option<(String, Regex)>,
}

impl Request {
    /// `dir`, for messages.
    pub(super) fn shown(&self) -> String {
        self.paths.join("+")
    }

    fn list(&self) -> Listed {
        let mut listing = Listing::read(&self.paths)?;
        listing.apps.clone_from(&self.apps);
        Ok(Arc::new(listing))
    }

    fn recognises(&self, tool: &Tool, listing: &Listing) -> bool {
        self.takes_every_file(tool) || recognises(tool, listing)
    }

    fn recognises_any<'a>(
        &self,
        tools: impl Iterator<Item = &'a Tool> + Clone,
        listing: &Listing,
    ) -> bool {
        tools.clone().any(|tool| self.takes_every_file(tool)) || recognises_any(tools, listing)
    }

    /// Returns true if names of files cannot exclude this tool.
    fn takes_every_file(&self, tool: &Tool) -> bool {
        self.pattern.is_some() || tool.name.is_empty()
    }

    fn read(&self, tool: &Tool, listing: &Listing) -> Reading {
        let wanted = match &self.pattern {
            Some((pattern, regex)) => Wanted::by_pattern(listing, pattern, regex, tool.key),
            None if tool.name.is_empty() => Wanted::by_file_name(listing),
            None => Wanted::of(tool, listing),
        };
        wanted.map(Arc::new)
    }
}

/// A directory of migrations, and what has been read of it.
pub(super) struct Folder {
    request: Arc<Request>,
    tools: Arc<[Tool]>,
    listing: Mutex<Option<Job<Listed>>>,
    recognised: Mutex<HashMap<Vec<usize>, Job<Vec<bool>>>>,
    readings: Mutex<HashMap<usize, Job<Reading>>>,
    /// By name and table of another tool.
    levels: Mutex<HashMap<(&'static str, &'static str), Job<Level>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a job as long as the start's patience lasts.
fn patiently<T: Clone + Send + 'static>(job: &Job<T>) -> Option<T> {
    let bound = if USED_UP.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
    let result = job.wait_for(bound);
    USED_UP.fetch_or(result.is_none(), Ordering::Relaxed);
    result
}

impl Folder {
    /// A directory that will be read as these tools read it.
    pub(super) fn new(request: Request, tools: &[Tool]) -> Self {
        Self {
            request: Arc::new(request),
            tools: tools.into(),
            listing: Mutex::default(),
            recognised: Mutex::default(),
            readings: Mutex::default(),
            levels: Mutex::default(),
        }
    }

    /// Finds mistakes in the directory before the first attempt, if the file system answers in
    /// time.
    ///
    /// # Errors
    /// It cannot be listed, or holds no migration of these tools. One tool's files are read too.
    pub(super) fn check(&self, is_one_tool: bool) -> Result<(), String> {
        let (request, tools) = (Arc::clone(&self.request), Arc::clone(&self.tools));
        let Ok(listing) = self.start_listing() else { return Ok(()) };
        let Some(listing) = patiently(&listing) else { return Ok(()) };
        let listing = listing?;
        let mut places: Vec<usize> = (0..self.tools.len()).collect();
        if !is_one_tool {
            // Names identify the files of some tools. Files of the others are opened only if no
            // such tool matches.
            let opens = |place: &usize| match self.tools[*place].files {
                Files::Read(reader) => reader.opens_files,
                _ => false,
            };
            let (opened, named): (Vec<_>, Vec<_>) = places.into_iter().partition(opens);
            let Ok(job) = self.start_looking_for_any(named, &listing) else { return Ok(()) };
            if patiently(&job) != Some(false) {
                return Ok(());
            }
            let Ok(job) = self.start_recognising(opened.clone(), &listing) else { return Ok(()) };
            let Some(recognised) = patiently(&job) else { return Ok(()) };
            places = opened
                .into_iter()
                .zip(recognised)
                .filter(|(_, is)| *is)
                .map(|(place, _)| place)
                .collect();
        }
        for place in places {
            let Ok(job) = self.start_reading(place, &listing) else { return Ok(()) };
            let Some(wanted) = patiently(&job) else { return Ok(()) };
            if !wanted?.list.is_empty() {
                return Ok(());
            }
        }
        let explained = Job::start(move || nothing_in(&request, &tools, &listing, is_one_tool));
        let shown = self.shown();
        let plain = || format!("{shown} holds no migration");
        Err(explained.ok().and_then(|job| patiently(&job)).unwrap_or_else(plain))
    }

    fn start_listing(&self) -> std::io::Result<Job<Listed>> {
        let mut listing = lock(&self.listing);
        if let Some(job) = listing.as_ref() {
            return Ok(job.clone());
        }
        let request = Arc::clone(&self.request);
        let job = Job::start(move || request.list())?;
        Ok(listing.insert(job).clone())
    }

    /// `dir`, for messages.
    pub(super) fn shown(&self) -> String {
        self.request.shown()
    }

    /// The files.
    ///
    /// # Errors
    /// A limit of this process, or a mistake in `dir`.
    pub(super) async fn listing(&self) -> Result<Arc<Listing>, Failure> {
        let job = self.start_listing().map_err(no_thread)?;
        job.result().await.map_err(|message| wrong(&message))
    }

    /// Looks for one file that is a migration of any of these tools.
    fn start_looking_for_any(
        &self,
        places: Vec<usize>,
        listing: &Arc<Listing>,
    ) -> std::io::Result<Job<bool>> {
        let (request, tools) = (Arc::clone(&self.request), Arc::clone(&self.tools));
        let listing = Arc::clone(listing);
        Job::start(move || {
            request.recognises_any(places.iter().map(|place| &tools[*place]), &listing)
        })
    }

    fn start_recognising(
        &self,
        places: Vec<usize>,
        listing: &Arc<Listing>,
    ) -> std::io::Result<Job<Vec<bool>>> {
        let mut recognised = lock(&self.recognised);
        if let Some(job) = recognised.get(&places) {
            return Ok(job.clone());
        }
        let (request, tools) = (Arc::clone(&self.request), Arc::clone(&self.tools));
        let (own, listing) = (places.clone(), Arc::clone(listing));
        let job = Job::start(move || {
            own.iter().map(|place| request.recognises(&tools[*place], &listing)).collect()
        })?;
        Ok(recognised.entry(places).or_insert(job).clone())
    }

    fn start_reading(&self, place: usize, listing: &Arc<Listing>) -> std::io::Result<Job<Reading>> {
        let mut readings = lock(&self.readings);
        if let Some(job) = readings.get(&place) {
            return Ok(job.clone());
        }
        let (request, tools) = (Arc::clone(&self.request), Arc::clone(&self.tools));
        let listing = Arc::clone(listing);
        let job = Job::start(move || request.read(&tools[place], &listing))?;
        Ok(readings.entry(place).or_insert(job).clone())
    }

    /// Returns true for each tool if some file has the name of one of its migrations.
    ///
    /// # Errors
    /// As [`listing`](Self::listing).
    pub(super) async fn recognised(&self, places: Vec<usize>) -> Result<Vec<bool>, Failure> {
        let listing = self.listing().await?;
        let job = self.start_recognising(places, &listing).map_err(no_thread)?;
        Ok(job.result().await)
    }

    /// The migrations that the directory holds, as one tool reads it.
    ///
    /// # Errors
    /// As [`listing`](Self::listing). A mistake in the tool's files is part of the [`Reading`].
    pub(super) async fn reading(&self, place: usize) -> Result<Reading, Failure> {
        let listing = self.listing().await?;
        let job = self.start_reading(place, &listing).map_err(no_thread)?;
        Ok(job.result().await)
    }

    /// Returns the place of another tool's files, if it is one level above or below.
    ///
    /// # Errors
    /// As [`listing`](Self::listing).
    pub(super) async fn one_level_off(
        &self,
        tool: &'static Tool,
    ) -> Result<Option<String>, Failure> {
        let listing = self.listing().await?;
        let key = (tool.name, tool.table);
        let known = lock(&self.levels).get(&key).cloned();
        let job = match known {
            Some(job) => job,
            None => {
                let job =
                    Job::start(move || one_level_off(&[*tool], &listing)).map_err(no_thread)?;
                lock(&self.levels).entry(key).or_insert(job).clone()
            }
        };
        Ok(job.result().await)
    }
}

/// Returns a mistake in `dir` as a failure that no retry repairs.
pub(super) fn wrong(message: &str) -> Failure {
    Failure::new(crate::probe::Class::Config, format!("dir: {message}"))
}

fn no_thread(error: std::io::Error) -> Failure {
    Failure::local(&error, "starting a thread")
}

/// The message for a directory without migrations.
fn nothing_in(request: &Request, tools: &[Tool], listing: &Listing, is_one_tool: bool) -> String {
    let dir = request.shown();
    let Some(first) = tools.first().filter(|_| is_one_tool && request.pattern.is_none()) else {
        return match &request.pattern {
            Some(_) => format!("{dir} holds no file that key-pattern matches"),
            None => with_hint(
                format!(
                    "{dir} holds no migration of any known tool (for others: table=, column= and \
                    key-pattern=)"
                ),
                tools,
                listing,
            ),
        };
    };
    let mut examples: Vec<_> =
        tools.iter().map(|tool| tool.example).filter(|example| !example.is_empty()).collect();
    examples.dedup();
    match (first.name, first.files) {
        ("", _) => format!("{dir} holds no file"),
        ("liquibase", _) => liquibase::INSTEAD.to_owned(),
        (name, Files::Undefined(why)) => format!("{name}: {why}; use version="),
        (name, _) => with_hint(
            format!("{dir} holds no migration of {name}'s (such as {})", examples.join(" or ")),
            tools,
            listing,
        ),
    }
}

fn with_hint(message: String, tools: &[Tool], listing: &Listing) -> String {
    match one_level_off(tools, listing) {
        Some(place) => format!("{message}: {place}"),
        None => message,
    }
}

/// Returns the place of files of one of these tools, one level below or above.
fn one_level_off(tools: &[Tool], listing: &Listing) -> Option<String> {
    // Names alone cannot identify a tool whose files must be opened.
    let by_name = |tool: &&Tool| match tool.files {
        Files::Named { .. } => true,
        Files::Read(reader) => !reader.opens_files,
        Files::Undefined(_) => false,
    };
    let tool_of = |listing: &Listing| {
        tools.iter().filter(by_name).find(|tool| recognises(tool, listing)).map(|tool| tool.name)
    };
    let below: Vec<_> = listing
        .below()
        .into_iter()
        .filter_map(|(dir, listing)| Some((dir, tool_of(&listing)?)))
        .take(3)
        .collect();
    if let Some((_, tool)) = below.first() {
        let dirs: Vec<_> = below.iter().map(|(dir, _)| format!("{dir}/")).collect();
        return Some(format!("files of {tool}'s lie one level below, in {}", dirs.join(", ")));
    }
    let tool = tool_of(&listing.above()?)?;
    Some(format!("files of {tool}'s lie one level above"))
}
