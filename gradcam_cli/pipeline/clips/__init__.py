"""Videos and animations: one class and one scale for the clip, frames in order."""
