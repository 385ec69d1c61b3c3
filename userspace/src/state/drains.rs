use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use humantime::{format_rfc3339_millis, parse_rfc3339};
use serde::{Deserialize, Serialize};

/// The file's name, and that of one that could not be read.
const NAME: &str = "drains.json";
const CORRUPT: &str = "drains.json.corrupt";

/// The version of the format.
const VERSION: u32 = 1;

/// The largest file that is read, in bytes: far more than 64 uplinks need.
const LONGEST: u64 = 1 << 16;

/// An uplink that is drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Its name.
    pub uplink: String,
    /// How long yet; without, until it is undrained.
    pub left: Option<Duration>,
}

/// The file that drains are kept in.
#[derive(Clone, Debug)]
pub struct DrainFile {
    directory: PathBuf,
}

/// Why it is not known what was drained.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system refuses.
    #[error(
        "cannot read {}, so no uplink is drained that was before: {source}; let the daemon read it, or remove it",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is none that a daemon has written.
    #[error(
        "{} is damaged, so no uplink is drained that was before: {reason}; {}",
        path.display(),
        kept.as_ref().map_or_else(
            |error| format!("it cannot be moved out of the way: {error}"),
            |kept| format!("it is kept as {}", kept.display())
        )
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Where it is kept, if it could be moved there.
        kept: Result<PathBuf, io::Error>,
    },
}

/// The file's content. Times are of UTC, as RFC 3339 has them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    /// When it was written.
    written: String,
    drains: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uplink: String,
    until: Option<String>,
}

impl DrainFile {
    /// That in this directory, which need not be there yet.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// What was drained when it was written last and is so still; nothing where there is no file. One that is
    /// damaged is moved out of the way.
    ///
    /// # Errors
    /// Where that is not to be found out.
    pub fn read(&self, now: SystemTime) -> Result<Vec<Drain>, Unreadable> {
        let path = self.path();
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Unreadable::Refused { path, source }),
        };
        decode(&text, now).map_err(|reason| {
            let aside = self.directory.join(CORRUPT);
            let kept = fs::rename(&path, &aside).map(|()| aside);
            Unreadable::Damaged { path, reason, kept }
        })
    }

    /// Replaces it: whoever reads it, after whatever happens, finds all of the old one or of the new one.
    ///
    /// # Errors
    /// Where the system refuses. Then it is as it was.
    pub fn write(&self, drains: &[Drain], now: SystemTime) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut file = tempfile::Builder::new().prefix(".drains").tempfile_in(&self.directory)?;
        file.write_all(&encode(drains, now)?)?;
        file.as_file().sync_all()?;
        file.persist(self.path())?;
        File::open(&self.directory)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn encode(drains: &[Drain], now: SystemTime) -> io::Result<Vec<u8>> {
    let entry = |drain: &Drain| {
        // What is beyond the end of the calendar is for ever.
        let until = drain.left.and_then(|left| now.checked_add(left)).filter(is_writable);
        let until = until.map(|until| format_rfc3339_millis(until).to_string());
        Entry { uplink: drain.uplink.clone(), until }
    };
    let content = Content {
        version: VERSION,
        written: format_rfc3339_millis(now).to_string(),
        drains: drains.iter().map(entry).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&content)?;
    text.push(b'\n');
    Ok(text)
}

/// Whether a time is before the year 10000, which RFC 3339 ends with.
fn is_writable(time: &SystemTime) -> bool {
    const END: Duration = Duration::from_secs(253_402_300_800);
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since < END)
}

fn decode(text: &[u8], now: SystemTime) -> Result<Vec<Drain>, String> {
    if text.len() as u64 > LONGEST {
        return Err(format!("it is larger than {LONGEST} bytes"));
    }
    let content: Content = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if content.version != VERSION {
        return Err(format!("its version is {}, not {VERSION}", content.version));
    }
    let time = |text: &str| parse_rfc3339(text).map_err(|error| format!("{text:?}: {error}"));
    let written = time(&content.written)?;
    let mut drains = Vec::new();
    for Entry { uplink, until } in content.drains {
        let Some(until) = until else {
            drains.push(Drain { uplink, left: None });
            continue;
        };
        let until = time(&until)?;
        // A clock that has lost the time since makes no drain longer than it was.
        let most = until.duration_since(written).unwrap_or_default();
        if let Ok(left) = until.duration_since(now)
            && !left.is_zero()
        {
            drains.push(Drain { uplink, left: Some(left.min(most)) });
        }
    }
    Ok(drains)
}

#[cfg(test)]
mod tests;
