//! Counts mirrored frames by session until Enter is pressed: `count INTERFACE`, as root.

use std::error::Error;
use std::io::stdin;
use std::process::ExitCode;
use std::time::Duration;

use vxtap::Engine;
use vxtap::config::{Config, Output, OutputKind};
use vxtap::ring::Next;

fn main() -> ExitCode {
    let Err(error) = count() else { return ExitCode::SUCCESS };
    eprintln!("count: {error}");
    ExitCode::FAILURE
}

fn count() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.capture.interfaces.push(std::env::args().nth(1).ok_or("usage: count INTERFACE")?);
    config.outputs.push(Output::new("count", OutputKind::Consumer));

    let mut engine = Engine::open(config)?;
    let mut consumer = engine.take_consumer("count").ok_or("the output was declared above")?;
    let reader = std::thread::spawn(move || {
        let (mut frames, mut bytes) = (0_u64, 0_u64);
        loop {
            match consumer.next(Duration::from_secs(1)) {
                Next::Batch(batch) => {
                    for frame in &batch {
                        // Borrowed from the memory that the NIC wrote to; returned when `batch` is
                        // dropped.
                        if frames == 0 {
                            eprintln!(
                                "first frame: {}, {} bytes",
                                frame.source_vni(),
                                frame.bytes().len()
                            );
                        }
                        frames += 1;
                        bytes += u64::from(frame.original_len());
                    }
                }
                Next::Idle => eprintln!("{frames} frames so far"),
                Next::Closed => return (frames, bytes),
            }
        }
    });
    engine.start()?;
    eprintln!("counting; press Enter to stop");
    stdin().read_line(&mut String::new())?;

    let report = engine.stop();
    let (frames, bytes) = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    eprintln!("{frames} frames, {bytes} bytes\n\n{report}");
    Ok(())
}
