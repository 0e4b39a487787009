from io import BytesIO
from typing import Dict, Any
import pandas as pd
from heat_runtime import BaseProcessor, HeatRuntime
class SumProcessor(BaseProcessor):
    """Aggregates all numeric columns of a CSV (supplied in‑memory) into a single JSON row."""
    TEMPLATE_NAME = "generic-sum-csv" # must match the node template
    async def validate(self, inputs: Dict[str, Any], config: Dict[str, Any]):
        await super().validate(inputs, config)
        if "file" not in inputs:
            raise ValueError("expected 'file' artefact in inputs")
    async def process(self, inputs: Dict[str, Any], config: Dict[str, Any]):
        """Sum every numeric column; non‑numeric become null."""
        raw = inputs["file"] # bytes or file‑like object provided by HEAT
        # normalise to a file‑like buffer that pandas can read
        if isinstance(raw, (bytes, bytearray)):
            buffer = BytesIO(raw)
        else:
            buffer = raw # assume already file‑like (e.g. StreamingBody)
        df = pd.read_csv(buffer)
        result = {}
        for col in df.columns:
            if pd.api.types.is_numeric_dtype(df[col]):
                result[col] = float(df[col].sum())
            else:
                result[col] = None
        return result
if __name__ == "__main__":
    HeatRuntime.register(SumProcessor)
    HeatRuntime().init()
