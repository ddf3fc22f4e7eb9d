// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, Settlement, Stage} from "../../../contracts/interfaces/IAppeals.sol";
import {Slash} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {AbuseActions} from "./AbuseActions.sol";

/// Slashes are appealed, and no juror votes: every bond must come back, and what was frozen or held must come free.
abstract contract AppealActions is AbuseActions {
    address internal constant APPELLANT = address(0xa99e);

    uint256 internal bonds; // in, less out

    function appeal(uint256 seed) internal {
        uint256 kind = pick(seed, "appeal", 3);
        if (kind == 0) _appealSlash(seed);
        else if (kind == 1 && appeals.appealCount() != 0) _advanceCase(1 + pick(seed, "case", appeals.appealCount()));
        else if (kind == 2) takeBonds();
    }

    function _appealSlash(uint256 seed) private {
        if (registry.slashCount() == 0) return;
        uint256 id = registry.slashCount() - pick(seed, "slash", registry.slashCount()) / 4;
        Slash memory held = registry.slashOf(id);
        token.transfer(APPELLANT, PRICE);
        vm.prank(APPELLANT);
        token.approve(address(appeals), PRICE);
        uint256 before = token.balanceOf(APPELLANT);
        Settlement memory none;
        (bool done,) = attempt(APPELLANT, address(appeals), abi.encodeCall(appeals.appealSlash, (id, none)));
        if (!done) return;
        note("appeal");
        if (held.settled || time() >= held.settleableAt) blame(2, "a slash is appealed too late");
        bonds += before - token.balanceOf(APPELLANT);
    }

    function _advanceCase(uint256 id) internal {
        Case memory its = appeals.caseOf(id);
        if (its.stage == Stage.Closed) return;
        if (its.stage == Stage.Drawing && height() <= its.seedBlock + 256) return _drawJury(id, pass(its.seedBlock));
        if (time() < its.endsAt) vm.warp(its.endsAt);
        must(7, "a case cannot be moved on", STRANGER, address(appeals), abi.encodeCall(appeals.advance, (id)));
    }

    function _drawJury(uint256 id, bytes memory header) private {
        must(7, "a jury cannot be drawn", STRANGER, address(appeals), abi.encodeCall(appeals.draw, (id, header)));
    }

    function takeBonds() internal {
        uint256 before = token.balanceOf(APPELLANT);
        attempt(STRANGER, address(appeals), abi.encodeCall(appeals.takeOwed, (APPELLANT)));
        bonds -= token.balanceOf(APPELLANT) - before;
    }

    function closeCases() internal returns (bool) {
        for (uint256 id = 1; id <= appeals.appealCount(); ++id) {
            for (uint256 step = 0; step < 8 && appeals.caseOf(id).stage != Stage.Closed; ++step) {
                _advanceCase(id);
            }
            if (appeals.caseOf(id).stage != Stage.Closed) return false;
        }
        return true;
    }
}
