SELECT threshold, value, survivors, now FROM sweeps
