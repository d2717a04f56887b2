"""Static files at a CDN: stored in the bucket by a build, and checked there."""
