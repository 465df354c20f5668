SELECT pairs, rows, whole FROM ledger_extent
