// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface Judge {
    function isValidSignature(bytes calldata data, bytes calldata signature) external view returns (bytes4);
}

/// NOT a Safe, and not for money: a stand-in written for this project's examples and tests, where the Safe project's own
/// contracts are not at hand. It hashes (EIP-712), judges its owners' signatures and answers questions as a Safe 1.4.1
/// does. It makes plain calls only: no delegate calls, no refunds, no modules, guards or handlers, no change of owners.
contract StandInSafe {
    bytes32 private constant DOMAIN = keccak256("EIP712Domain(uint256 chainId,address verifyingContract)");
    bytes32 private constant SAFE_TX = keccak256(
        "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
    );
    string public constant VERSION = "1.4.1";

    uint256 public nonce;
    uint256 private immutable threshold;
    address[] private owners;
    mapping(address owner => bool) public isOwner;
    mapping(address owner => mapping(bytes32 hash => uint256)) public approvedHashes;

    event ApproveHash(bytes32 indexed approvedHash, address indexed owner);
    event ExecutionSuccess(bytes32 indexed txHash, uint256 payment);
    event ExecutionFailure(bytes32 indexed txHash, uint256 payment);
    event SafeReceived(address indexed sender, uint256 value);

    constructor(address[] memory owners_, uint256 threshold_) {
        require(threshold_ > 0 && threshold_ <= owners_.length, "wrong threshold");
        for (uint256 place = 0; place < owners_.length; place++) {
            require(owners_[place] != address(0) && !isOwner[owners_[place]], "wrong owner");
            isOwner[owners_[place]] = true;
        }
        owners = owners_;
        threshold = threshold_;
    }

    receive() external payable {
        emit SafeReceived(msg.sender, msg.value);
    }

    function getOwners() external view returns (address[] memory) {
        return owners;
    }

    function getThreshold() external view returns (uint256) {
        return threshold;
    }

    function getModulesPaginated(address, uint256) external pure returns (address[] memory, address) {
        return (new address[](0), address(1));
    }

    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, block.chainid, address(this)));
    }

    function getTransactionHash(
        address to,
        uint256 value,
        bytes memory data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        uint256 nonce_
    ) public view returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                hex"1901",
                domainSeparator(),
                hashed(to, value, data, operation, safeTxGas, baseGas, gasPrice, gasToken, refundReceiver, nonce_)
            )
        );
    }

    function approveHash(bytes32 hash) external {
        require(isOwner[msg.sender], "only owners approve");
        approvedHashes[msg.sender][hash] = 1;
        emit ApproveHash(hash, msg.sender);
    }

    function execTransaction(
        address to,
        uint256 value,
        bytes memory data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address payable refundReceiver,
        bytes memory signatures
    ) external payable returns (bool success) {
        require(operation == 0 && gasPrice == 0, "a stand-in makes plain calls without refunds");
        bytes32 inner =
            hashed(to, value, data, operation, safeTxGas, baseGas, gasPrice, gasToken, refundReceiver, nonce++);
        bytes memory message = abi.encodePacked(hex"1901", domainSeparator(), inner);
        checkSignatures(keccak256(message), message, signatures);
        (success,) = to.call{value: value}(data);
        require(success || safeTxGas != 0, "the call failed");
        if (success) emit ExecutionSuccess(keccak256(message), 0);
        else emit ExecutionFailure(keccak256(message), 0);
    }

    function hashed(
        address to,
        uint256 value,
        bytes memory data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        uint256 nonce_
    ) private pure returns (bytes32) {
        bytes memory first = abi.encode(SAFE_TX, to, value, keccak256(data), operation, safeTxGas);
        bytes memory second = abi.encode(baseGas, gasPrice, gasToken, refundReceiver, nonce_);
        return keccak256(bytes.concat(first, second));
    }

    function checkSignatures(bytes32 hash, bytes memory message, bytes memory signatures) private view {
        require(signatures.length >= threshold * 65, "too few signatures");
        address last = address(0);
        for (uint256 place = 0; place < threshold; place++) {
            address owner = ownerOf(hash, message, signatures, place * 65);
            require(owner > last && isOwner[owner], "not signed by owners in ascending order");
            last = owner;
        }
    }

    function ownerOf(bytes32 hash, bytes memory message, bytes memory signatures, uint256 start)
        private
        view
        returns (address owner)
    {
        bytes32 r = word(signatures, start);
        bytes32 s = word(signatures, start + 32);
        uint8 v = uint8(signatures[start + 64]);
        if (v == 0) {
            owner = address(uint160(uint256(r)));
            require(uint256(s) >= threshold * 65, "a contract's signature lies in the fixed part");
            bytes memory body = new bytes(uint256(word(signatures, uint256(s))));
            for (uint256 place = 0; place < body.length; place++) {
                body[place] = signatures[uint256(s) + 32 + place];
            }
            require(Judge(owner).isValidSignature(message, body) == 0x20c13b0b, "not signed by the contract");
        } else if (v == 1) {
            owner = address(uint160(uint256(r)));
            require(msg.sender == owner || approvedHashes[owner][hash] != 0, "not approved by the owner");
        } else if (v > 30) {
            owner = ecrecover(keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", hash)), v - 4, r, s);
        } else {
            owner = ecrecover(hash, v, r, s);
        }
    }

    function word(bytes memory data, uint256 start) private pure returns (bytes32 found) {
        require(start + 32 <= data.length, "the signatures end too soon");
        assembly {
            found := mload(add(add(data, 32), start))
        }
    }
}
