//! What the faulty disk may not do, because no disk does: tests of the tests' own ground.

use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::Dir;

/// A file is written beside, synced and renamed, as snapshots and archives are, where an earlier
/// life has left its beginning under the same temporary name. Whatever of that the disk has kept,
/// the new name never stands for what the earlier life left.
#[test]
fn a_name_that_is_kept_stands_for_the_file_that_was_renamed() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..200 {
        let dir = FaultyDir::new(seed);
        dir.create("file.part").unwrap();
        dir.sync().unwrap();
        let dir = dir.kill();
        dir.remove("file.part").unwrap();
        let file = dir.create("file.part").unwrap();
        file.write_at(0, b"whole").unwrap();
        file.sync().unwrap();
        dir.rename("file.part", "file").unwrap();
        let dir = dir.crash();
        let Ok(file) = dir.open("file") else {
            lost += 1;
            continue;
        };
        let mut content = vec![0; file.size().unwrap() as usize];
        file.read_at(0, &mut content).unwrap();
        assert_eq!(content, b"whole", "seed {seed}");
        kept += 1;
    }
    assert!(kept > 50 && lost > 50, "{kept} kept and {lost} lost");
}
