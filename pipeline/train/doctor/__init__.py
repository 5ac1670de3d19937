"""The doctor: what is wrong with the text that would be trained on, looked at before anything is paid."""
