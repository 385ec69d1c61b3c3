use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn drain(uplink: &str, left: Option<Duration>) -> Drain {
    Drain { uplink: uplink.into(), left }
}

/// A directory, the file in a directory below that is not there yet, and the time by whole seconds.
fn file() -> (TempDir, DrainFile, SystemTime) {
    let directory = tempfile::tempdir().unwrap();
    let file = DrainFile::new(&directory.path().join("not/there"));
    (directory, file, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

#[test]
fn what_was_drained_is_so_until_its_time_is_over() {
    let (_directory, file, now) = file();
    assert_eq!(file.read(now).unwrap(), []);
    assert!(!file.directory.exists(), "nothing is made before there is something to keep");
    let drains = [drain("fiber", Some(HOUR)), drain("\"lte\"", None)];
    file.write(&drains, now).unwrap();
    assert_eq!(file.read(now).unwrap(), drains);
    let left = Duration::from_secs(1);
    let later = now + HOUR - left;
    assert_eq!(file.read(later).unwrap(), [drain("fiber", Some(left)), drains[1].clone()]);
    assert_eq!(file.read(now + HOUR).unwrap(), drains[1..]);
    file.write(&[], now).unwrap();
    assert_eq!(file.read(now).unwrap(), []);
    // Nothing else is left.
    assert_eq!(fs::read_dir(&file.directory).unwrap().count(), 1);
}

#[test]
fn a_clock_that_has_lost_the_time_makes_no_drain_longer() {
    let (_directory, file, now) = file();
    file.write(&[drain("fiber", Some(HOUR))], now).unwrap();
    let read = file.read(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(read, [drain("fiber", Some(HOUR))]);
}

#[test]
fn what_is_beyond_the_calendar_is_for_ever() {
    let (_directory, file, now) = file();
    for left in [Duration::MAX, HOUR * 24 * 365 * 9000] {
        file.write(&[drain("fiber", Some(left))], now).unwrap();
        assert_eq!(file.read(now).unwrap(), [drain("fiber", None)]);
    }
}

#[test]
fn a_damaged_file_is_kept_aside() {
    let (_directory, file, now) = file();
    file.write(&[drain("fiber", None)], now).unwrap();
    let good = fs::read_to_string(file.path()).unwrap();
    let cut = good[..good.len() / 2].to_owned();
    let large = " ".repeat(1 << 17);
    for (text, reason) in [
        ("", "EOF while parsing"),
        (&*cut, "EOF while parsing"),
        ("\0\0\0\0", "expected value"),
        (&*good.replace("\"version\": 1", "\"version\": 2"), "its version is 2, not 1"),
        (&*good.replace("null", "\"noon\""), "\"noon\": "),
        (&*good.replace("null", "7"), "invalid type"),
        (&*good.replace("uplink", "downlink"), "unknown field `downlink`"),
        (&*large, "it is larger than 65536 bytes"),
    ] {
        fs::write(file.path(), text).unwrap();
        let error = file.read(now).unwrap_err().to_string();
        let kept = file.directory.join(CORRUPT);
        assert!(error.contains(reason) && error.contains(kept.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
        assert_eq!(file.read(now).unwrap(), []);
    }
}

#[test]
fn a_file_that_is_a_directory_is_said() {
    let (_directory, file, now) = file();
    fs::create_dir_all(file.path()).unwrap();
    let error = file.read(now).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /") && error.contains("Is a directory"), "{error}");
    assert!(file.write(&[], now).is_err());
}

/// The new file is written whole before it takes the place of the old one.
#[test]
fn what_cannot_be_written_leaves_what_was() {
    let (directory, file, now) = file();
    file.write(&[drain("fiber", None)], now).unwrap();
    let blocked = DrainFile::new(&file.path());
    assert_eq!(blocked.write(&[], now).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    // In a file system that takes no file.
    let nowhere = directory.path().join("nowhere");
    symlink("/proc/self", &nowhere).unwrap();
    assert!(DrainFile::new(&nowhere).write(&[], now).is_err());
    assert_eq!(file.read(now).unwrap(), [drain("fiber", None)]);
}
