class Lookup:
    def __init__(self, sections: tuple[memoryview, ...], shift: int, /) -> None: ...
    def find(self, key: bytes, checksum: int, first_node: int, end_node: int, /) -> int: ...
    def neighbours(
        self,
        is_head: int,
        first_node: int,
        first_group: int,
        first_edge: int,
        entity: int,
        relation: int,
        /,
    ) -> tuple[bytes, int] | None: ...
