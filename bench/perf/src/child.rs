//! Programs under measurement: started, asked for the line that says they are ready, ended on drop.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// A running program; closing its stdin and killing it is all that dropping does.
pub struct Running {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a program that says nothing.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        Ok(Self { _stdin: child.stdin.take(), child })
    }

    /// Starts a program and waits for the first line on stdout in which `find` finds something.
    pub fn ready<T>(
        command: &mut Command,
        find: impl Fn(&str) -> Option<T>,
    ) -> io::Result<(Self, T)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(stdout).lines();
        let running = Self { _stdin: child.stdin.take(), child };
        for line in lines.by_ref() {
            if let Some(found) = find(&line?) {
                // Somebody must read what it says later, or it would wait for room to say it.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((running, found));
            }
        }
        Err(io::Error::other(format!("{command:?} ended before it was ready")))
    }

    /// Processor time of all its threads and of its children's so far.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for pid in with_children(self.child.id())? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let stat = fs::read_to_string(task?.path().join("schedstat"))?;
                let nanoseconds = stat.split(' ').next().and_then(|text| text.parse().ok());
                total += Duration::from_nanos(nanoseconds.ok_or(io::ErrorKind::InvalidData)?);
            }
        }
        Ok(total)
    }

    /// Memory that is its own and its children's: proportional set size, in bytes.
    pub fn memory(&self) -> io::Result<u64> {
        let mut total = 0;
        for pid in with_children(self.child.id())? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            total += 1024 * kib.unwrap_or(0_u64);
        }
        Ok(total)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Children first: nginx's workers end with their master only when it is asked to.
        for pid in with_children(self.child.id()).unwrap_or_default() {
            if pid != self.child.id() {
                Command::new("kill").arg(pid.to_string()).status().ok();
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The process and its direct children.
fn with_children(pid: u32) -> io::Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().filter_map(|number| number.parse().ok());
    Ok([pid].into_iter().chain(children).collect())
}
