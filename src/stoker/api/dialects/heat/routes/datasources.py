"""Data sources."""

from __future__ import annotations

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import shown
from stoker.api.dialects.heat.desk import Pen, all_of, change, one_of
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.nouns import datasource
from stoker.api.dialects.heat.nouns.datasource import NOUN, DataSource, DataSourceChange, NewDataSource, Record
from stoker.api.dialects.heat.nouns.nodeoutput import USES
from stoker.api.dialects.heat.roles import role_of
from stoker.api.route import Route
from stoker.errors import Conflict, Invalid


async def list_data_sources(call: Call) -> Answer:
    role = role_of(call.caller.scopes)
    return bare([shown.data_source(each, role) for each in await all_of(call, NOUN)])


async def get_data_source(call: Call) -> Answer:
    return bare(shown.data_source(await one_of(call, NOUN), role_of(call.caller.scopes)))


async def create_data_source(call: Call) -> Answer:
    fields = given(call.body)
    name = fields.pop("name")
    record = Record(**fields)
    _check(record)
    kept = await change(call, lambda pen: pen.add(NOUN, name, record))
    return bare(shown.data_source(kept, role_of(call.caller.scopes)), 201)


async def update_data_source(call: Call) -> Answer:
    sent: DataSourceChange = call.body

    async def work(pen: Pen) -> DataSource:
        before = await pen.one(NOUN, int(call.path["id"]))
        fields = datasource.kept(given(sent), before.record)
        name = fields.pop("name", before.name)
        record = replace(before.record, **fields)
        if (record.type, record.connection_string) != (before.record.type, before.record.connection_string):
            _check(record)
        return shown.data_source(await pen.put(NOUN, before.id, name, record), role_of(call.caller.scopes))

    return bare(await change(call, work))


async def delete_data_source(call: Call) -> Answer:
    id_ = int(call.path["id"])

    async def work(pen: Pen) -> None:
        if used := await pen.all(USES, str(id_)):
            raise Conflict(
                f"outputs of {len(used)} sessions lie in the data source {id_}",
                place="path.id",
                remedy="Delete those sessions first.",
            )
        await pen.remove(NOUN, id_)

    await change(call, work)
    return NO_CONTENT


def _check(record: Record) -> None:
    if wrong := datasource.fault(record):
        raise Invalid(
            f"clients could not read this connection string: {wrong}",
            place="body.connectionString",
            remedy="For S3 give http(s)://ACCESS:SECRET@host:port or the JSON form, for AzureBlob https://host/container.",
        )


ROUTES = (
    Route(
        method="GET",
        path="/api/datasources",
        scopes=("read", "run"),
        summary="List the data sources",
        endpoint=list_data_sources,
        response=list[DataSource],
    ),
    Route(
        method="POST",
        path="/api/datasources",
        scopes=("author",),
        summary="Make a data source",
        endpoint=create_data_source,
        request=NewDataSource,
        response=DataSource,
        status=201,
    ),
    Route(
        method="GET",
        path="/api/datasources/{id:int}",
        scopes=("read", "run"),
        summary="Show a data source",
        endpoint=get_data_source,
        response=DataSource,
    ),
    Route(
        method="PUT",
        path="/api/datasources/{id:int}",
        scopes=("author",),
        summary="Change a data source",
        endpoint=update_data_source,
        request=DataSourceChange,
        response=DataSource,
    ),
    Route(
        method="DELETE",
        path="/api/datasources/{id:int}",
        scopes=("author",),
        summary="Delete a data source that nothing refers to",
        endpoint=delete_data_source,
        status=204,
    ),
)
