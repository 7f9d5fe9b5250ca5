"""The fuzz target of the tokens that Cognito reads: those of user pools, and logins to identity pools."""

from __future__ import annotations

from fuzz_target import Target, require


class Cognito(Target):
    """`A` an access token and `R` a refresh token of a user pool; `L` an ID token and `G` a developer token as a login."""

    forms = {"A": "token", "R": "bytes", "L": "token", "G": "token"}

    def __init__(self) -> None:
        import cognito_world as users
        import identity_world as identities

        self.users = users.World()
        signed_in = self.users.tokens()
        self.access, self.refresh = signed_in["AccessToken"], signed_in["RefreshToken"]
        self.caller = self.users.pools.get_user(access_token=self.access)
        self.world = world = identities.IdentityWorld()
        self.login = world.login("P", {})
        self.identity = world.pools.get_id(world.q, {identities.P: self.login})
        developer = world.pools.get_open_id_token_for_developer_identity(world.q, {identities.BACKEND: "d1"})
        self.developer, self.developed = developer.token, developer.identity_id
        self.seeds = [b"A" + self.access.encode(), b"R" + self.refresh.encode(), b"L" + self.login.encode()]
        self.seeds.append(b"G" + self.developer.encode())

    def read(self, kind: str, data: bytes) -> bool:
        self.users.events.clear()
        self.world.events.clear()
        return bool(getattr(self, f"_read_{kind.lower()}")(data.decode("utf-8", "surrogateescape")))

    def _read_a(self, text: str) -> bool:
        require(self.users.pools.get_user(access_token=text) == self.caller, "the user is not that of the token")
        return self._is_seed(text, self.access)

    def _read_r(self, text: str) -> bool:
        import cognito_world as users

        self.users.pools.get_tokens_from_refresh_token(refresh_token=text, client_id=users.C)
        return self._is_seed(text, self.refresh)

    def _read_l(self, text: str) -> bool:
        import identity_world as identities

        found = self.world.pools.get_id(self.world.q, {identities.P: text})
        require(found == self.identity, "the identity is not that of the login")
        return self._is_seed(text, self.login)

    def _read_g(self, text: str) -> bool:
        import identity_world as identities

        self.world.pools.get_credentials_for_identity(self.developed, {identities.COGNITO: text})
        return self._is_seed(text, self.developer)

    def _is_seed(self, text: str, seed: str) -> bool:
        require(text == seed, "the token is none of the seeds")
        return True
