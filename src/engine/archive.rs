//! Tar archives: files for containers, build contexts, and hand-made images.
