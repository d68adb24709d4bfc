"""From files, directories, patterns and lists to transcripts: what ``slm_transcribe`` does."""
