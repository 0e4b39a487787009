-- Where a run stands in a trace; most have none.
ALTER TABLE run ADD COLUMN traceparent TEXT;
